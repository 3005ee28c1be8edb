-- set_retention
SELECT set_event_log_retention($1)
