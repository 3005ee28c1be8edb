-- An event keeps the trace context of the request that wrote it wherever it waits, not only in the outbox and in the
-- event log: 55 characters of the W3C's `traceparent` if the trace is recorded, otherwise NULL.
--
-- What locks the outbox comes last: other sessions queue behind it.
SET LOCAL lock_timeout = '200ms';

ALTER TABLE parked_events
    ADD COLUMN traceparent text,
    ADD CONSTRAINT parked_events_traceparent_length CHECK (octet_length(traceparent) = 55) NOT VALID;
ALTER TABLE waiting_events
    ADD COLUMN traceparent text,
    ADD CONSTRAINT waiting_events_traceparent_length CHECK (octet_length(traceparent) = 55) NOT VALID;
ALTER TABLE subscription_parked
    ADD COLUMN traceparent text,
    ADD CONSTRAINT subscription_parked_traceparent_length CHECK (octet_length(traceparent) = 55) NOT VALID;
ALTER TABLE deliveries
    ADD COLUMN traceparent text,
    ADD CONSTRAINT deliveries_traceparent_length CHECK (octet_length(traceparent) = 55) NOT VALID;
-- The event log has only what was in the outbox.
ALTER TABLE outbox
    ADD CONSTRAINT outbox_traceparent_length CHECK (octet_length(traceparent) = 55) NOT VALID;
