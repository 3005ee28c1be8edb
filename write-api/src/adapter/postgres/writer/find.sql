-- find
-- The order with this id, if it belongs to the owner. Without an owner (NULL), it may be any customer's.
SELECT
    order_id, customer_id, items, total_cents, status, version, placed_at, updated_at,
    currency, carrier, tracking_number, cancel_reason, paid_at, shipped_at, delivered_at, cancelled_at
FROM orders
WHERE order_id = $1 AND customer_id = coalesce($2, customer_id)
