-- allocated
-- The newest allocated outbox id, the lowest one that this server allocates, and an xid if the newest is at least the
-- low-water mark. MATERIALIZED makes PostgreSQL read the sequence first and assign the xid second: only in this order
-- is the xid higher than those of all transactions that allocated an id up to the newest.
WITH allocated AS MATERIALIZED (
    SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END AS newest
    FROM outbox_id_seq
)
SELECT
    newest,
    (SELECT seqmin FROM pg_sequence WHERE seqrelid = 'outbox_id_seq'::regclass),
    CASE WHEN newest >= $1 THEN pg_current_xact_id()::text::bigint END,
    -- Identifies the server run: when the server started, and its last crash. Recovery resets the statistics.
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
    coalesce((SELECT (extract(epoch FROM stats_reset) * 1000000)::bigint FROM pg_stat_archiver), 0)
FROM allocated
