-- drop_partitions
SELECT drop_expired_event_log_partitions()
