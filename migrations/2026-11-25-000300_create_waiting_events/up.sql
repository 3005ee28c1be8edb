-- Events whose order's row in a read model is locked by another session. They wait here, out of the way of the others, until the
-- lock ends. Owned by the projector.
CREATE TABLE waiting_events (
    -- The id that the event had in the outbox, or a negative one where another waiting event has that id already.
    id         bigint      PRIMARY KEY,
    order_id   uuid        NOT NULL,
    version    integer     NOT NULL,
    kind       text        NOT NULL,
    payload    json        NOT NULL,
    created_at timestamptz NOT NULL
);

-- Rows come and go as in the outbox.
ALTER TABLE waiting_events SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = false
);

-- UPDATE is what FOR UPDATE asks for.
GRANT SELECT, INSERT, UPDATE (id), DELETE ON waiting_events TO orders_projector;
