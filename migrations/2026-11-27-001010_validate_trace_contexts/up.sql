-- Reads these tables once, without blocking writers.
SET LOCAL lock_timeout = '200ms';
ALTER TABLE parked_events VALIDATE CONSTRAINT parked_events_traceparent_length;
ALTER TABLE waiting_events VALIDATE CONSTRAINT waiting_events_traceparent_length;
ALTER TABLE subscription_parked VALIDATE CONSTRAINT subscription_parked_traceparent_length;
ALTER TABLE deliveries VALIDATE CONSTRAINT deliveries_traceparent_length;
ALTER TABLE outbox VALIDATE CONSTRAINT outbox_traceparent_length;
