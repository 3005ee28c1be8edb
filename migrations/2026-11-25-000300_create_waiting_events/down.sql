-- Waiting events return to the outbox with new ids: versions determine which event is newest, not ids. A projector of
-- this version that still runs now rolls back each batch with a locked row, and loses nothing.
LOCK TABLE waiting_events IN ACCESS EXCLUSIVE MODE;
-- The transaction must get its xid before it allocates outbox ids: the low-water mark relies on that.
SELECT pg_current_xact_id();
INSERT INTO outbox (kind, payload, created_at)
SELECT kind, payload, created_at FROM waiting_events ORDER BY id;
DROP TABLE waiting_events;
