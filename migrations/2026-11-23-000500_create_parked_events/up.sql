-- Events that could not be projected, out of the way of the others. Owned by the projector.
CREATE TABLE parked_events (
    -- The id that the event had in the outbox.
    id              bigint      PRIMARY KEY,
    kind            text        NOT NULL,
    payload         jsonb       NOT NULL,
    created_at      timestamptz NOT NULL,
    parked_at       timestamptz NOT NULL DEFAULT now(),
    attempts        integer     NOT NULL,
    error           text        NOT NULL,
    -- NULL: nothing more is tried until an operator acts.
    next_attempt_at timestamptz,

    CONSTRAINT parked_events_attempts_positive CHECK (attempts >= 1)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON parked_events TO orders_projector;
