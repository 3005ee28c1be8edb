-- position
-- The read position of the next statement on this connection, and its history.
SELECT
    -- The oldest open transaction, and all open ones.
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
    ARRAY(SELECT xid::text::bigint FROM pg_snapshot_xip(pg_current_snapshot()) AS xid),
    -- The newest change + 1, not the next transaction id. After a crash PostgreSQL reuses the ids of transactions that
    -- left nothing on disk, and a higher position would hide rows that are then written under those ids.
    coalesce((
        SELECT changed_in
        FROM order_summary
        WHERE changed_in < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
        ORDER BY changed_in DESC
        LIMIT 1
    ), 0) + 1,
    -- The cluster and the cell, whose number is in the high half, as in that of `current_history()`. Citus makes a new
    -- shard each time that it moves the cell to this server: the ids of its transactions have nothing to do with those
    -- of an earlier stay. Elsewhere, the last part is 0.
    system_identifier # (cell_number()::bigint << 32) # coalesce((
        SELECT tableoid::bigint # 'order_summary'::regclass::bigint
        FROM order_summary
        ORDER BY changed_in DESC
        LIMIT 1
    ), 0),
    -- The timeline in the newest row that was written here. Rows of a restored dump may come first. The limit keeps the
    -- search short if nothing has been written here yet.
    coalesce((
        SELECT history & 4294967295
        FROM (
            SELECT history
            FROM order_summary
            WHERE changed_in < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
            ORDER BY changed_in DESC
            LIMIT 1000
        ) AS newest
        WHERE history >> 32 = hashint8(system_identifier) # cell_number()
        LIMIT 1
    ), 0),
    -- On a standby: the session, and the last replayed position of the log. A snapshot there does not list open
    -- transactions.
    CASE WHEN pg_is_in_recovery() THEN pg_backend_pid()::bigint END,
    CASE WHEN pg_is_in_recovery() THEN (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint END,
    CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0')::bigint END
FROM pg_control_system()
