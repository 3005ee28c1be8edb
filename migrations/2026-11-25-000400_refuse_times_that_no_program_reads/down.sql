SET LOCAL lock_timeout = '200ms';
ALTER TABLE waiting_events DROP CONSTRAINT waiting_events_created_at_readable;
ALTER TABLE parked_events DROP CONSTRAINT parked_events_times_readable;
ALTER TABLE outbox DROP CONSTRAINT outbox_created_at_readable;
