-- count_parked
SELECT count(*)
FROM subscription_parked
WHERE subscription = $1
