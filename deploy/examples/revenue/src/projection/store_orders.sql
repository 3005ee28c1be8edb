-- store_orders
INSERT INTO revenue_1.orders (order_id, version, status, total_cents, paid_month, currency, units)
SELECT order_id, version, status, total_cents, paid_month, currency, units::jsonb
FROM unnest($1, $2, $3, $4, $5, $6, $7)
    AS e (order_id, version, status, total_cents, paid_month, currency, units)
ON CONFLICT (order_id) DO UPDATE
SET version = EXCLUDED.version,
    status = EXCLUDED.status,
    total_cents = EXCLUDED.total_cents,
    paid_month = EXCLUDED.paid_month,
    currency = EXCLUDED.currency,
    units = EXCLUDED.units
