-- The outbox: events that are not projected yet. Owned by write-api; the projector deletes applied events.
CREATE TABLE outbox (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text        NOT NULL,
    payload    jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT outbox_kind_length CHECK (char_length(kind) BETWEEN 1 AND 64)
);

GRANT INSERT ON outbox TO orders_write_api;
GRANT SELECT, DELETE ON outbox TO orders_projector;
-- FOR UPDATE needs the UPDATE privilege on some column. This one is GENERATED ALWAYS: the role could only give an event
-- the next id of the sequence, and cannot change its kind, payload or time.
GRANT UPDATE (id) ON outbox TO orders_projector;
