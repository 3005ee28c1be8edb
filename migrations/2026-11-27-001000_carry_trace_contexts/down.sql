SET LOCAL lock_timeout = '200ms';
ALTER TABLE parked_events DROP COLUMN traceparent;
ALTER TABLE waiting_events DROP COLUMN traceparent;
ALTER TABLE subscription_parked DROP COLUMN traceparent;
ALTER TABLE deliveries DROP COLUMN traceparent;
-- What locks the outbox comes last: other sessions queue behind it.
ALTER TABLE outbox DROP CONSTRAINT outbox_traceparent_length;
