-- publish_settled
-- No event will be logged below this position. Writes nothing if that is known.
UPDATE event_log_state
SET settled_below = $1
WHERE settled_below < $2
