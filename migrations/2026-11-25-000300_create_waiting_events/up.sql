-- Waiting events: another session has locked the summary row of their order. They wait here until the lock ends, and do
-- not block other events. Owned by the projector.
CREATE TABLE waiting_events (
    -- The event's id in the outbox, or a negative id if another waiting event already has that id.
    id         bigint      PRIMARY KEY,
    order_id   uuid        NOT NULL,
    version    integer     NOT NULL,
    kind       text        NOT NULL,
    payload    json        NOT NULL,
    created_at timestamptz NOT NULL
);

-- Rows are short-lived, as in the outbox.
ALTER TABLE waiting_events SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = false
);

-- FOR UPDATE needs UPDATE.
GRANT SELECT, INSERT, UPDATE (id), DELETE ON waiting_events TO orders_projector;
