-- forget_successes_ahead
-- Removes successes of an endpoint that are later than now: the clock was ahead. Each would count as a new one when its
-- time comes.
DELETE FROM webhook_attempts
WHERE endpoint = $1 AND error IS NULL AND attempted_at > now() + interval '1 minute'
