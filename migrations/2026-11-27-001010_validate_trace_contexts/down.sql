-- A validated CHECK cannot become NOT VALID again, so it is replaced.
SET LOCAL lock_timeout = '200ms';
ALTER TABLE parked_events DROP CONSTRAINT parked_events_traceparent_length;
ALTER TABLE parked_events
    ADD CONSTRAINT parked_events_traceparent_length CHECK (octet_length(traceparent) = 55) NOT VALID;
ALTER TABLE waiting_events DROP CONSTRAINT waiting_events_traceparent_length;
ALTER TABLE waiting_events
    ADD CONSTRAINT waiting_events_traceparent_length CHECK (octet_length(traceparent) = 55) NOT VALID;
ALTER TABLE subscription_parked DROP CONSTRAINT subscription_parked_traceparent_length;
ALTER TABLE subscription_parked
    ADD CONSTRAINT subscription_parked_traceparent_length CHECK (octet_length(traceparent) = 55) NOT VALID;
ALTER TABLE deliveries DROP CONSTRAINT deliveries_traceparent_length;
ALTER TABLE deliveries
    ADD CONSTRAINT deliveries_traceparent_length CHECK (octet_length(traceparent) = 55) NOT VALID;
ALTER TABLE outbox DROP CONSTRAINT outbox_traceparent_length;
ALTER TABLE outbox
    ADD CONSTRAINT outbox_traceparent_length CHECK (octet_length(traceparent) = 55) NOT VALID;
