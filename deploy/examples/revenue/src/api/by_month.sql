-- by_month
SELECT month, currency, orders, revenue_cents::text
FROM revenue.by_month
-- The first condition is where the index starts.
WHERE month <= $1 AND (month < $2 OR currency > $3)
ORDER BY month DESC, currency
LIMIT $4
