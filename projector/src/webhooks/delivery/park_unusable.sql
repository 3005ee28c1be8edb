-- park_unusable
-- Parks events that cannot be delivered, because they do not say which event of which order they are.
INSERT INTO subscription_parked (
    subscription, position, kind, payload, recorded_at, traceparent, attempts, error, next_attempt_at
)
SELECT $1, position, kind, payload::json, recorded_at, traceparent, 1, error, NULL
FROM unnest($2, $3, $4, $5, $6, $7) AS t (position, kind, payload, recorded_at, traceparent, error)
