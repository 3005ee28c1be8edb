-- discard_of_subscription
DELETE FROM subscription_parked
WHERE subscription = $1 AND ($2 OR id = ANY($3))
RETURNING id, position, kind, error, attempts, recorded_at, parked_at, next_attempt_at, payload::text
