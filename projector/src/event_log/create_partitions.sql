-- create_partitions
SELECT create_event_log_partitions()
