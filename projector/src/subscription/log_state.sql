-- log_state
-- Up to which position events may be missing, and the history in which events are logged.
SELECT missing_up_to, history
FROM event_log_state
