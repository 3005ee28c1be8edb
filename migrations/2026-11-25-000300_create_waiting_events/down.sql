-- What waits goes back to the outbox, under new ids: versions decide what is newest, not ids. A projector of this version that
-- still runs rolls its batch back from now on when it meets a locked row, and loses nothing.
LOCK TABLE waiting_events IN ACCESS EXCLUSIVE MODE;
-- This transaction must have an id before it draws ids of the outbox: claims tell by it which ids are settled.
SELECT pg_current_xact_id();
INSERT INTO outbox (kind, payload, created_at)
SELECT kind, payload, created_at FROM waiting_events ORDER BY id;
DROP TABLE waiting_events;
