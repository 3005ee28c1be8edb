-- PostgreSQL stores infinities and years that other programs cannot express. All programs can read times between the
-- years 1 and 9999, and RFC 3339 can express them. The next migration validates the existing rows; this one counts
-- offending rows first, so that the constraint is not added where it cannot be met.
DO $$
DECLARE
    in_outbox bigint;
    in_parked_events bigint;
    in_waiting_events bigint;
BEGIN
    SELECT count(*) INTO in_outbox FROM outbox
    WHERE NOT (created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00');
    SELECT count(*) INTO in_parked_events FROM parked_events
    WHERE NOT (created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00'
        AND parked_at >= '0001-01-01 00:00:00+00' AND parked_at < '10000-01-01 00:00:00+00'
        AND coalesce(
            next_attempt_at >= '0001-01-01 00:00:00+00' AND next_attempt_at < '10000-01-01 00:00:00+00', true
        ));
    SELECT count(*) INTO in_waiting_events FROM waiting_events
    WHERE NOT (created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00');
    IF in_outbox + in_parked_events + in_waiting_events > 0 THEN
        RAISE EXCEPTION '% rows of outbox, % of parked_events and % of waiting_events have times outside the '
            'years 1 to 9999. Correct these times, then run the migrator again',
            in_outbox, in_parked_events, in_waiting_events;
    END IF;
END
$$;

-- Each statement gives up after 200 ms: other sessions queue behind it, and they give up after 300 ms
-- (DATABASE_LOCK_TIMEOUT_MS).
SET LOCAL lock_timeout = '200ms';
ALTER TABLE outbox ADD CONSTRAINT outbox_created_at_readable
    CHECK (created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00') NOT VALID;
ALTER TABLE parked_events ADD CONSTRAINT parked_events_times_readable
    CHECK (created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00'
        AND parked_at >= '0001-01-01 00:00:00+00' AND parked_at < '10000-01-01 00:00:00+00'
        AND next_attempt_at >= '0001-01-01 00:00:00+00' AND next_attempt_at < '10000-01-01 00:00:00+00') NOT VALID;
ALTER TABLE waiting_events ADD CONSTRAINT waiting_events_created_at_readable
    CHECK (created_at >= '0001-01-01 00:00:00+00' AND created_at < '10000-01-01 00:00:00+00') NOT VALID;
