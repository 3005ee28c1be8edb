-- orders
-- Locks what has been counted of these orders.
SELECT order_id, version, status, total_cents, paid_month, currency, units::text
FROM revenue_1.orders
WHERE order_id = ANY ($1)
ORDER BY order_id
FOR NO KEY UPDATE
