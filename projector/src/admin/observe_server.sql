-- observe_server
-- What keeps vacuum busy. It waits for no lock of a table.
SELECT coalesce(dead_rows, 0) AS dead_rows, oldest_transaction_seconds() AS oldest_transaction_seconds
FROM (SELECT) AS one
LEFT JOIN (
    SELECT n_dead_tup AS dead_rows
    FROM pg_stat_user_tables
    WHERE relid = 'outbox'::regclass
) AS statistics ON true
