-- park_logged
-- Parks events of the log that a subscription refused, or whose rows are locked.
INSERT INTO subscription_parked (
    subscription, position, kind, payload, recorded_at, traceparent, attempts, error, next_attempt_at
)
SELECT
    (SELECT $1), position, kind, payload::json, recorded_at, traceparent, attempts, error,
    now() + retry_in_ms * interval '1 millisecond'
FROM unnest($2, $3, $4, $5, $6, $7, $8, $9)
    AS t (position, kind, payload, recorded_at, traceparent, attempts, error, retry_in_ms)
