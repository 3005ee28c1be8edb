-- No statement reads inside a payload: it is written and read as text. jsonb would parse it on each write and format it
-- on each read; json only validates it on writes.
--
-- Both tables are rewritten under an exclusive lock, which blocks writers. So this migration refuses to run while the
-- tables are long. Binaries that cast to jsonb keep working.
DO $$
BEGIN
    IF (SELECT count(*) FROM (SELECT FROM outbox LIMIT 100001) AS events) > 100000
        OR (SELECT count(*) FROM (SELECT FROM parked_events LIMIT 100001) AS events) > 100000 THEN
        RAISE EXCEPTION 'more than 100000 events wait in outbox or parked_events: let the projector catch up first';
    END IF;
END
$$;

ALTER TABLE outbox ALTER COLUMN payload TYPE json USING payload::json;
ALTER TABLE parked_events ALTER COLUMN payload TYPE json USING payload::json;

-- An event with a time that the projector cannot read could never be claimed.
ALTER TABLE outbox ADD CONSTRAINT outbox_created_at_finite CHECK (isfinite(created_at));
