-- show_log
SELECT
    retention_days::integer,
    nullif(missing_up_to, 9223372036854775807),
    (SELECT min(position) FROM event_log),
    (SELECT max(position) FROM event_log)
FROM event_log_state
