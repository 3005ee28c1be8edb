-- add_revenue
INSERT INTO revenue_by_month AS r (month, revenue_cents)
SELECT *
FROM unnest($1, $2)
ON CONFLICT (month) DO UPDATE
SET revenue_cents = r.revenue_cents + EXCLUDED.revenue_cents
