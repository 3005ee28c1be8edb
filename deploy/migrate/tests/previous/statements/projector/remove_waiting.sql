-- remove_waiting
DELETE FROM waiting_events
WHERE id = ANY($1)
