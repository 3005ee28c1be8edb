-- The dead-letter table: events that could not be applied. They do not block other events here. Owned by the projector.
CREATE TABLE parked_events (
    -- The event's id in the outbox.
    id              bigint      PRIMARY KEY,
    kind            text        NOT NULL,
    payload         jsonb       NOT NULL,
    created_at      timestamptz NOT NULL,
    parked_at       timestamptz NOT NULL DEFAULT now(),
    attempts        integer     NOT NULL,
    error           text        NOT NULL,
    -- NULL: no more automatic retries; an operator must act.
    next_attempt_at timestamptz,

    CONSTRAINT parked_events_attempts_positive CHECK (attempts >= 1)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON parked_events TO orders_projector;
