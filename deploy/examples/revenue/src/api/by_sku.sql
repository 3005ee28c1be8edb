-- by_sku
SELECT sku, orders, units
FROM revenue.by_sku
WHERE sku > $1
ORDER BY sku
LIMIT $2
