SET LOCAL lock_timeout = '200ms';
DROP TABLE event_log, event_log_state, event_log_settled, event_log_histories;
-- What locks the outbox comes last: other sessions queue behind it.
DROP TRIGGER log_deleted_events ON outbox;
ALTER TABLE outbox DROP COLUMN traceparent;
DROP FUNCTION
    log_deleted_events(), set_event_log_retention(integer), drop_expired_event_log_partition(),
    create_event_log_partitions();
