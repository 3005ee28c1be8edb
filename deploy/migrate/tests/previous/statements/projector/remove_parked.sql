-- remove_parked
DELETE FROM parked_events
WHERE id = ANY($1)
