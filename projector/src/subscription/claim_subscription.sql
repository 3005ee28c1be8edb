-- claim_subscription
-- Locks a subscription that is due, unless another worker has it: one worker at a time.
SELECT
    checkpoint,
    -- The newest outbox id that has been allocated; NULL before the first one.
    coalesce(pg_sequence_last_value('outbox_id_seq'), 0)
FROM subscriptions
WHERE name = $1
    AND state = 'running'
    -- No pause lasts until the later time: the clock was ahead.
    AND (next_attempt_at <= now() OR next_attempt_at > now() + $2 * interval '1 millisecond')
FOR NO KEY UPDATE SKIP LOCKED
