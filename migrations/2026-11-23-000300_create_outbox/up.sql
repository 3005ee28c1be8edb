-- Events on their way from the write side to the projections. Owned by write-api, drained by the projector.
CREATE TABLE outbox (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text        NOT NULL,
    payload    jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT outbox_kind_length CHECK (char_length(kind) BETWEEN 1 AND 64)
);

GRANT INSERT ON outbox TO orders_write_api;
GRANT SELECT, DELETE ON outbox TO orders_projector;
-- FOR UPDATE asks for UPDATE on some column. An identity column cannot be set to a value, so that this grant allows the
-- lock and no change of an event.
GRANT UPDATE (id) ON outbox TO orders_projector;
