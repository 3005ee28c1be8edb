-- A validated constraint cannot become NOT VALID again, so it is replaced.
SET LOCAL lock_timeout = '200ms';
ALTER TABLE waiting_events DROP CONSTRAINT waiting_events_created_at_readable;
ALTER TABLE waiting_events ADD CONSTRAINT waiting_events_created_at_readable
    CHECK (created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00') NOT VALID;
ALTER TABLE parked_events DROP CONSTRAINT parked_events_times_readable;
ALTER TABLE parked_events ADD CONSTRAINT parked_events_times_readable
    CHECK (created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00'
        AND parked_at >= '0001-01-01 00:00:00+00' AND parked_at < '10000-01-01 00:00:00+00'
        AND next_attempt_at >= '0001-01-01 00:00:00+00' AND next_attempt_at < '10000-01-01 00:00:00+00') NOT VALID;
ALTER TABLE outbox DROP CONSTRAINT outbox_created_at_readable;
ALTER TABLE outbox ADD CONSTRAINT outbox_created_at_readable
    CHECK (created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00') NOT VALID;
