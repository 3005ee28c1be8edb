-- log_bounds
SELECT
    missing_up_to,
    greatest(missing_up_to, (SELECT position FROM event_log ORDER BY position DESC LIMIT 1)),
    history
FROM event_log_state
