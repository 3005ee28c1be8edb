-- Serves "which parked events are to be tried again now" in order, however many are parked. Built at once, not CONCURRENTLY:
-- few events are parked, and while it lasts nobody waits but a projector that wants to park another one.
CREATE INDEX parked_events_due ON parked_events (next_attempt_at, id) WHERE next_attempt_at IS NOT NULL;
