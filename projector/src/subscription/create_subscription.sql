-- create_subscription
-- While events are not logged, no position is safe: nothing is created.
WITH log AS MATERIALIZED (
    SELECT missing_up_to, history
    FROM event_log_state
),
created AS (
    INSERT INTO subscriptions (name)
    SELECT $1
    FROM log
    WHERE missing_up_to < 9223372036854775807
    ON CONFLICT (name) DO NOTHING
    RETURNING name
)
INSERT INTO subscription_checkpoints (subscription, generation, checkpoint, history)
SELECT
    name,
    -- Above those of a removed subscription of this name, whose entries may still be there: each move had an xid.
    pg_current_xact_id()::text::bigint,
    -- NULL: the oldest event.
    greatest(missing_up_to, $2::bigint),
    history
FROM created, log
