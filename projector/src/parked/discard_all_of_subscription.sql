-- discard_all_of_subscription
DELETE FROM subscription_parked
WHERE subscription = $1
RETURNING id, position, kind, error, attempts, recorded_at, parked_at, next_attempt_at, payload::text
