-- drop_partition
SELECT drop_expired_event_log_partition()
