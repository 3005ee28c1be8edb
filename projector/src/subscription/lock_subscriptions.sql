-- lock_subscriptions
-- Locks those of these subscriptions that are due, unless another worker has them: one worker at a time. A lock makes
-- no version of the row, so these few rows stay cheap to read.
SELECT name, failures
FROM subscriptions
WHERE name = ANY($1)
    AND state = 'running'
    -- No pause lasts until the later time: the clock was ahead.
    AND (next_attempt_at <= now() OR next_attempt_at > now() + $2 * interval '1 millisecond')
FOR NO KEY UPDATE SKIP LOCKED
