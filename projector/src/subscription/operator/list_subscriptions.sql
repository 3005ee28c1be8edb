-- list_subscriptions
-- Subscriptions by name, each with what is left for it to do.
SELECT
    s.name, s.state, s.checkpoint, s.history,
    -- Up to 10000 events are counted. More are estimated by the range of their positions, which has holes.
    CASE WHEN behind.counted < 10000 THEN behind.counted ELSE greatest(behind.counted, log.newest - s.checkpoint) END,
    CASE
        WHEN next.recorded_at IS NOT NULL
        THEN greatest(0, extract(epoch FROM clock_timestamp()) - extract(epoch FROM next.recorded_at))::float8
    END,
    s.failures, s.next_attempt_at, s.last_error,
    parked.retrying, parked.left_for_operator,
    s.created_at, s.updated_at
FROM (
    -- A subscription without a checkpoint, which no program leaves behind, is shown too.
    SELECT
        name, state, failures, next_attempt_at, last_error, created_at,
        coalesce(checkpoint, 0) AS checkpoint, coalesce(history, 0) AS history,
        greatest(updated_at, moved_at) AS updated_at
    FROM (
        SELECT *
        FROM subscriptions
        WHERE name > $1 AND coalesce(name = $2, true)
        ORDER BY name
        LIMIT $3
    ) AS listed
    LEFT JOIN LATERAL (
        -- Newest first: the entries of older generations may be dead, and any number.
        SELECT checkpoint, history, moved_at
        FROM subscription_checkpoints
        WHERE subscription = listed.name
        ORDER BY generation DESC
        LIMIT 1
    ) AS newest ON true
) AS s
CROSS JOIN (
    SELECT coalesce((SELECT position FROM event_log ORDER BY position DESC LIMIT 1), 0) AS newest
) AS log
LEFT JOIN LATERAL (
    SELECT recorded_at
    FROM event_log
    WHERE position > s.checkpoint
    ORDER BY position
    LIMIT 1
) AS next ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS counted
    FROM (SELECT 1 FROM event_log WHERE position > s.checkpoint LIMIT 10000) AS first
) AS behind
CROSS JOIN LATERAL (
    -- Counted up to 100000.
    SELECT count(next_attempt_at) AS retrying, count(*) - count(next_attempt_at) AS left_for_operator
    FROM (SELECT next_attempt_at FROM subscription_parked WHERE subscription = s.name LIMIT 100000) AS first
) AS parked
ORDER BY s.name
