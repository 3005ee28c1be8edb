-- add_by_sku
INSERT INTO revenue_1.by_sku AS s (sku, orders, units)
SELECT sku, orders, units::bigint
FROM unnest($1, $2, $3) AS e (sku, orders, units)
ON CONFLICT (sku) DO UPDATE
SET orders = s.orders + EXCLUDED.orders,
    units = s.units + EXCLUDED.units
