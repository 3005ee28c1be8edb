-- Subscriptions to the event log: how far each listener has come, and the events that it refused. Owned by the
-- projector.
CREATE TABLE subscriptions (
    name            text        PRIMARY KEY,
    state           text        NOT NULL DEFAULT 'running',
    -- Failures in a row. After the last one, the next attempt is at `next_attempt_at`.
    failures        integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    -- Why the last attempt failed, or why the subscription is lost.
    last_error      text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT subscriptions_name_length CHECK (length(name) BETWEEN 1 AND 128),
    CONSTRAINT subscriptions_state_known CHECK (state IN ('running', 'paused', 'lost')),
    CONSTRAINT subscriptions_failures_not_negative CHECK (failures >= 0),
    CONSTRAINT subscriptions_last_error_length CHECK (length(last_error) <= 2000),
    -- A time beyond these cannot be read into a date.
    CONSTRAINT subscriptions_times_readable CHECK (
        next_attempt_at >= '0001-01-01 00:00:00+00' AND next_attempt_at < '10000-01-01 00:00:00+00'
    )
);

-- How far each subscription has come. Each batch locks the row above, which makes no version of it, and replaces the
-- row of this table by one of the next generation. The newest entry of an index is found at once, however many dead
-- rows a long transaction keeps. The versions of an updated row would all be read, by each batch.
CREATE TABLE subscription_checkpoints (
    subscription text        NOT NULL REFERENCES subscriptions (name) ON DELETE CASCADE,
    generation   bigint      NOT NULL,
    -- All events up to this position have taken effect, or are parked below.
    checkpoint   bigint      NOT NULL,
    -- The history in which the checkpoint was moved: see event_log_histories.
    history      bigint      NOT NULL,
    moved_at     timestamptz NOT NULL DEFAULT now(),

    PRIMARY KEY (subscription, generation),
    CONSTRAINT subscription_checkpoints_not_negative CHECK (checkpoint >= 0),
    -- A time beyond these cannot be read into a date.
    CONSTRAINT subscription_checkpoints_times_readable CHECK (
        moved_at >= '0001-01-01 00:00:00+00' AND moved_at < '10000-01-01 00:00:00+00'
    )
);

-- A few rows live, and each batch leaves a dead one.
ALTER TABLE subscription_checkpoints SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = false
);

-- The dead letters of subscriptions. Unlike `parked_events`, which belongs to the read models of the claim, each row
-- belongs to one subscription.
CREATE TABLE subscription_parked (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription    text        NOT NULL REFERENCES subscriptions (name),
    -- Of the event in the log. An event can be parked twice: a subscription that was set back reads it again.
    position        bigint      NOT NULL,
    kind            text        NOT NULL,
    payload         json        NOT NULL,
    recorded_at     timestamptz NOT NULL,
    -- 0: never tried, because another session has its row locked.
    attempts        integer     NOT NULL,
    error           text        NOT NULL,
    parked_at       timestamptz NOT NULL DEFAULT now(),
    -- NULL: left for an operator.
    next_attempt_at timestamptz DEFAULT now(),

    CONSTRAINT subscription_parked_attempts_not_negative CHECK (attempts >= 0),
    CONSTRAINT subscription_parked_error_length CHECK (length(error) <= 2000),
    CONSTRAINT subscription_parked_times_readable CHECK (
        recorded_at >= '0001-01-01 00:00:00+00' AND recorded_at < '10000-01-01 00:00:00+00'
        AND parked_at >= '0001-01-01 00:00:00+00' AND parked_at < '10000-01-01 00:00:00+00'
        AND next_attempt_at >= '0001-01-01 00:00:00+00' AND next_attempt_at < '10000-01-01 00:00:00+00'
    )
);

-- All events of one subscription, and those that are due.
CREATE INDEX subscription_parked_of ON subscription_parked (subscription, id);
CREATE INDEX subscription_parked_due ON subscription_parked (subscription, next_attempt_at, id)
    WHERE next_attempt_at IS NOT NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions, subscription_parked TO orders_projector;
GRANT SELECT, INSERT, DELETE ON subscription_checkpoints TO orders_projector;
