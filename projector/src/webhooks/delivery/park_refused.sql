-- park_refused
-- Gives up deliveries that have been refused for too long. Later events of their orders go on. Returns their positions.
WITH given_up AS (
    DELETE FROM deliveries
    USING unnest($1, $2, $3, $4) AS refused (position, event_id, fence, error)
    WHERE deliveries.endpoint = $5
        AND deliveries.position = refused.position
        AND deliveries.event_id = refused.event_id
        AND deliveries.fence = refused.fence
        AND first_failed_at <= now() - $6 * interval '1 millisecond'
    RETURNING deliveries.position, kind, payload, recorded_at, failures, error
)
INSERT INTO subscription_parked (
    subscription, position, kind, payload, recorded_at, attempts, error, next_attempt_at
)
SELECT $7, position, kind, payload, recorded_at, failures + 1, error, NULL
FROM given_up
RETURNING position
