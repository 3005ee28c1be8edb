-- look_up
-- The orders with these ids, with the ids of the attempts that wrote their latest versions.
SELECT
    order_id, customer_id, items, total_cents, status, version, placed_at, updated_at,
    currency, carrier, tracking_number, cancel_reason, paid_at, shipped_at, delivered_at, cancelled_at,
    write_attempts
FROM orders
WHERE order_id = ANY($1)
