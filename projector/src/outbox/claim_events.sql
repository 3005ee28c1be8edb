-- claim_events
-- Deletes the oldest events that no other transaction has locked, up to a number of events and of payload bytes, and
-- returns them.
DELETE FROM outbox
-- Citus takes no stable function in RETURNING. OFFSET 0 is an optimization fence: without it this becomes one.
USING (SELECT statement_timestamp() AS claimed_at OFFSET 0) AS clock
-- By ctid, which saves a second search of the index: a locked row cannot move. A row that was updated after the
-- statement began is locked at its new ctid, which this statement does not see; the next claim takes it. A ctid belongs
-- to one table: `outbox` must not be partitioned. `= ANY((array))`, not `IN (…)`: with a generic plan or stale
-- statistics, IN becomes a join that reads the whole table.
WHERE ctid = ANY((
    -- Nearly always all locked events fit: their total size shows it. If not, a running sum finds how many fit. The
    -- first two parameters are the same limit: each parameter occurs once in a file.
    SELECT CASE WHEN bytes <= $1 THEN ctids ELSE ARRAY(
        SELECT row_ctid
        FROM (
            SELECT *, sum(bytes) OVER (ROWS UNBOUNDED PRECEDING) AS bytes_so_far
            FROM (SELECT row_ctid, bytes FROM unnest(ctids, sizes) AS each (row_ctid, bytes)) AS measured
        ) AS sized
        -- The first event is claimed even if it is larger than the limit.
        WHERE bytes_so_far <= $2 OR bytes_so_far = bytes
    ) END
    FROM (
        SELECT array_agg(ctid) AS ctids, array_agg(bytes) AS sizes, sum(bytes) AS bytes
        FROM (
            -- Measures only the rows that were locked here, not those that were skipped. OFFSET 0 is an optimization
            -- fence: without it the payload is measured once for each use of `bytes`.
            SELECT ctid, octet_length(payload::text) AS bytes
            FROM (
                SELECT ctid, payload
                FROM outbox
                WHERE id >= $3
                    -- No event leaves the outbox unlogged: a trigger that does not run raises no error. This is the
                    -- condition of trigger_runs.sql.
                    AND (
                        SELECT tgenabled = 'A'
                            OR (tgenabled = 'O' AND current_setting('session_replication_role') <> 'replica')
                        FROM pg_trigger WHERE tgrelid = to_regclass('outbox') AND tgname = 'log_deleted_events'
                    )
                ORDER BY id
                LIMIT $4
                FOR UPDATE SKIP LOCKED
            ) AS locked
            OFFSET 0
        ) AS measured
    ) AS claimed
)::tid[])
RETURNING id, kind, payload::text, created_at, claimed_at, traceparent
