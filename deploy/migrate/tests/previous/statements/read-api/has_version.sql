-- has_version
-- Whether the order has at least this version; with a customer, only if the order is that customer's.
SELECT EXISTS (
    SELECT
    FROM order_summary o
    WHERE o.order_id = $1
      AND o.version >= $2
      AND o.customer_id = coalesce($3, o.customer_id)
)
