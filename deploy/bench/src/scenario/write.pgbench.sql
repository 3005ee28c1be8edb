\set n :n + 1
\set customer random(1, 100000)
WITH placed AS (
    INSERT INTO orders (order_id, customer_id, items, total_cents, status, version, placed_at, updated_at)
    VALUES (lpad(to_hex(:n * 1024 + :client_id), 32, '0')::uuid, 'customer-' || :customer,
        '[{"sku": "SKU-00001", "quantity": 1, "price_cents": 450}, '
        '{"sku": "SKU-00002", "quantity": 2, "price_cents": 1999}, '
        '{"sku": "SKU-00003", "quantity": 1, "price_cents": 5900}]',
        10348, 'placed', 1, now(), now())
    RETURNING order_id
)
INSERT INTO outbox (kind, payload)
SELECT 'order_placed',
    '{"event_id":"d29e8d2e-1dcb-5915-a97e-9b5e510572c2","schema_version":1,'
    '"occurred_at":"2026-11-18T11:06:40.123456Z","order":{"order_id":"0191f3a0-0000-7000-8000-000000000001",'
    '"customer_id":"customer-50000","status":"placed","version":1,"total_cents":10348,"item_count":3,'
    '"last_item_sku":"SKU-00003","placed_at":"2026-11-18T11:06:40.123456Z"},"items":['
    '{"sku":"SKU-00001","quantity":1,"price_cents":450},{"sku":"SKU-00002","quantity":2,"price_cents":1999},'
    '{"sku":"SKU-00003","quantity":1,"price_cents":5900}]}'
FROM placed;
