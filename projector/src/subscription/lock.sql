-- lock
-- Locks a subscription that is due, unless another worker has it: one worker at a time.
SELECT
    checkpoint,
    -- The newest outbox id that has been allocated. OFFSET 0 keeps the sequence out of the search for the subscription.
    (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM outbox_id_seq OFFSET 0)
FROM subscriptions
WHERE name = $1 AND state = 'running' AND next_attempt_at <= now()
FOR NO KEY UPDATE OF subscriptions SKIP LOCKED
