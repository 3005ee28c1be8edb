-- remove_parked_after
-- The events after this position are read again.
DELETE FROM subscription_parked
WHERE subscription = $1 AND position > $2
