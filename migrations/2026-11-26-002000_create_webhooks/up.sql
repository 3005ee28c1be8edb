-- Webhooks: events sent to endpoints of other systems. Owned by the projector.
CREATE TABLE webhook_endpoints (
    -- Never used again: a request that is still running must not confirm a delivery of a later endpoint.
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Limits the number of endpoints, and with it the labels of metrics.
    slot          smallint    NOT NULL UNIQUE,
    url           text        NOT NULL,
    -- Empty: all kinds but `order_republished`.
    kinds         text[]      NOT NULL,
    state         text        NOT NULL DEFAULT 'active',
    paused_reason text,
    -- Changes with everything that a projector keeps in memory: url, kinds, state and secrets.
    revision      bigint      NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    -- Requests that failed since the last success, and when the first of them did. Failures are recorded once they
    -- have lasted for a moment.
    failures      integer     NOT NULL DEFAULT 0,
    failing_since timestamptz,
    -- When the last outage began and ended. What failed in it for the first time counts as refused since its end.
    outage_since  timestamptz NOT NULL DEFAULT '-infinity',
    recovered_at  timestamptz NOT NULL DEFAULT '-infinity',
    -- Nothing is sent before this time.
    hold_until    timestamptz NOT NULL DEFAULT '-infinity',
    -- What the receiver asked for of that. Only this remains when something succeeds.
    asked_until   timestamptz NOT NULL DEFAULT '-infinity',

    CONSTRAINT webhook_endpoints_slot_in_range CHECK (slot BETWEEN 1 AND 100),
    CONSTRAINT webhook_endpoints_url_length CHECK (octet_length(url) BETWEEN 1 AND 2048),
    CONSTRAINT webhook_endpoints_kinds_count CHECK (cardinality(kinds) <= 100),
    CONSTRAINT webhook_endpoints_state_known CHECK (state IN ('active', 'paused')),
    CONSTRAINT webhook_endpoints_reason_fits_state CHECK ((state = 'paused') = (paused_reason IS NOT NULL)),
    CONSTRAINT webhook_endpoints_reason_known CHECK (paused_reason IN ('operator', 'gone', 'nothing_succeeded')),
    CONSTRAINT webhook_endpoints_failures_fit CHECK ((failures > 0) = (failing_since IS NOT NULL))
);

-- In a table of their own, so that no role can be granted them by accident.
CREATE TABLE webhook_secrets (
    endpoint   bigint      NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    secret     bytea       NOT NULL,
    -- NULL: the current secret. The previous ones sign too until this time.
    expires_at timestamptz,

    PRIMARY KEY (endpoint, created_at),
    CONSTRAINT webhook_secrets_length CHECK (octet_length(secret) BETWEEN 24 AND 64)
);

CREATE UNIQUE INDEX webhook_secrets_one_is_current ON webhook_secrets (endpoint) WHERE expires_at IS NULL;

-- Events that wait to be sent. They keep their payload when the event log drops it.
CREATE TABLE deliveries (
    endpoint        bigint      NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    -- The event's position in the event log.
    position        bigint      NOT NULL,
    order_id        uuid        NOT NULL,
    event_id        uuid        NOT NULL,
    kind            text        NOT NULL,
    payload         json        NOT NULL,
    occurred_at     timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL,
    failures        integer     NOT NULL DEFAULT 0,
    first_failed_at timestamptz,
    -- While it is leased, this is when the lease ends.
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    leased_until    timestamptz,
    -- Grows with each lease: only the holder of the last one may confirm or postpone the delivery.
    fence           bigint      NOT NULL DEFAULT 0,

    -- The log never uses a position twice; should it ever, no event is taken for another.
    PRIMARY KEY (endpoint, position, event_id),
    CONSTRAINT deliveries_failures_fit CHECK ((failures > 0) = (first_failed_at IS NOT NULL))
);

-- Which deliveries of an order come first.
CREATE INDEX deliveries_of_order ON deliveries (endpoint, order_id, position);
-- Which deliveries are due.
CREATE INDEX deliveries_by_next_attempt ON deliveries (endpoint, next_attempt_at, position);

-- Rows are short-lived, as in the outbox.
ALTER TABLE deliveries SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = false
);

-- The last attempts, for operators. No bodies.
CREATE TABLE webhook_attempts (
    endpoint     bigint      NOT NULL REFERENCES webhook_endpoints ON DELETE CASCADE,
    id           bigint      GENERATED ALWAYS AS IDENTITY,
    position     bigint      NOT NULL,
    event_id     uuid        NOT NULL,
    attempted_at timestamptz NOT NULL DEFAULT now(),
    -- NULL: there was no response.
    status       integer,
    latency_ms   integer     NOT NULL,
    -- NULL: it was delivered.
    error        text,

    PRIMARY KEY (endpoint, id),
    CONSTRAINT webhook_attempts_error_length CHECK (char_length(error) <= 500)
);

-- The last success of each endpoint. Not by id: the primary key could then be used, which has all failures too.
CREATE INDEX webhook_attempts_accepted ON webhook_attempts (endpoint, attempted_at) WHERE error IS NULL;

-- The first and the last attempts of each endpoint are read and removed by key.
ALTER TABLE webhook_attempts SET (autovacuum_vacuum_insert_scale_factor = 0.05);

GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_endpoints TO orders_projector;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_secrets TO orders_projector;
GRANT SELECT, INSERT, UPDATE, DELETE ON deliveries TO orders_projector;
GRANT SELECT, INSERT, DELETE ON webhook_attempts TO orders_projector;
