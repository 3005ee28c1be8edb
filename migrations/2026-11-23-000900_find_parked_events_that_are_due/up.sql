-- Serves "which parked events are due for a retry" in order, however many are parked. Not built CONCURRENTLY: few
-- events are parked, and the build blocks only projectors that are about to park another one.
CREATE INDEX parked_events_due ON parked_events (next_attempt_at, id) WHERE next_attempt_at IS NOT NULL;
