-- find_lost_orders
-- The orders after an id of which nothing is left on the read side, with their versions, and how far this page goes.
SELECT last, checked, coalesce(lost, '{}') AS lost, coalesce(versions, '{}') AS versions
FROM find_lost_orders($1::uuid, $2::bigint, $3::integer)
