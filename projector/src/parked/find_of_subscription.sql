-- find_of_subscription
SELECT id, position, kind, error, attempts, recorded_at, parked_at, next_attempt_at, payload::text
FROM subscription_parked
WHERE id = ANY($1) AND subscription = $2
