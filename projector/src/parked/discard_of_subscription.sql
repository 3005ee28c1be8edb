-- discard_of_subscription
DELETE FROM subscription_parked
WHERE id = ANY($1) AND subscription = $2
RETURNING id, position, kind, error, attempts, recorded_at, parked_at, next_attempt_at, payload::text
