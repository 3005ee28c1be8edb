-- add_by_month
INSERT INTO revenue_1.by_month AS m (month, currency, orders, revenue_cents)
SELECT month, currency, orders, revenue_cents::numeric
FROM unnest($1, $2, $3, $4) AS e (month, currency, orders, revenue_cents)
ON CONFLICT (month, currency) DO UPDATE
SET orders = m.orders + EXCLUDED.orders,
    revenue_cents = m.revenue_cents + EXCLUDED.revenue_cents
