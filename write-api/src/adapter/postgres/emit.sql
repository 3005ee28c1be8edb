-- emit
-- Adds events to the outbox.
-- The transaction gets its xid before it allocates the first outbox id; the projector's low-water mark relies on that.
WITH transaction AS MATERIALIZED (
    SELECT pg_current_xact_id() AS id
)
INSERT INTO outbox (kind, payload, traceparent)
SELECT e.kind, e.payload::json, e.traceparent
FROM transaction, unnest($1, $2, $3) AS e (kind, payload, traceparent)
WHERE transaction.id IS NOT NULL
