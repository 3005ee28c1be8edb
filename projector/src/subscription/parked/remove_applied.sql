-- remove_applied
DELETE FROM subscription_parked
WHERE subscription = $1 AND id = ANY($2)
