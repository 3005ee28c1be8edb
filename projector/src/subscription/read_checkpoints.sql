-- read_checkpoints
-- The checkpoints of subscriptions that this transaction has locked. Why this is a statement of its own: see store.rs.
SELECT
    locked.name, locked.failures, newest.generation, newest.checkpoint,
    -- The newest outbox id that has been allocated. It is read after the checkpoint's snapshot, so it is not older. The
    -- sequence is NULL before the first one, and behind the log after Citus has moved the cell to another node.
    greatest(
        pg_sequence_last_value('outbox_id_seq'),
        (SELECT position FROM event_log ORDER BY position DESC LIMIT 1),
        0
    )
FROM unnest($1::text[], $2::integer[]) AS locked (name, failures)
LEFT JOIN LATERAL (
    -- Newest first: the entries of older generations may be dead, and any number.
    SELECT generation, checkpoint
    FROM subscription_checkpoints
    WHERE subscription = locked.name
    ORDER BY generation DESC
    LIMIT 1
) AS newest ON true
