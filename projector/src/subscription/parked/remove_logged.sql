-- remove_logged
DELETE FROM subscription_parked
WHERE id = ANY($1)
