-- count_waiting
-- How many deliveries of an endpoint wait, counted up to a number.
SELECT count(*)
FROM (SELECT FROM deliveries WHERE endpoint = $1 LIMIT $2) AS waiting
