-- park_skipped
-- Leaves an event for an operator.
INSERT INTO subscription_parked (
    subscription, position, kind, payload, recorded_at, traceparent, attempts, error, next_attempt_at
)
VALUES ($1, $2, $3, $4::json, $5, $6, 0, 'skipped by an operator', NULL)
RETURNING id
