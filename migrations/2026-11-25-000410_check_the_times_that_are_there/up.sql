-- In a transaction of its own: validating does not block readers and writers, but adding the constraint blocks them
-- until its transaction ends.
ALTER TABLE outbox VALIDATE CONSTRAINT outbox_created_at_readable;
ALTER TABLE parked_events VALIDATE CONSTRAINT parked_events_times_readable;
ALTER TABLE waiting_events VALIDATE CONSTRAINT waiting_events_created_at_readable;
