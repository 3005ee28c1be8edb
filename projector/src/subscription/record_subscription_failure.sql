-- record_subscription_failure
-- The pause before the next attempt doubles with each failure in a row, up to a limit, plus up to 100 % jitter.
UPDATE subscriptions
SET failures = least(failures, 2147483646) + 1,
    next_attempt_at = to_timestamp(
        extract(epoch FROM now())::float8 + least($1, $2 * 2 ^ least(failures, 30)) * (1 + $3) / 1000
    ),
    last_error = $4,
    updated_at = now()
WHERE name = $5 AND state = 'running'
RETURNING failures, ceil(extract(epoch FROM next_attempt_at - updated_at) * 1000)::bigint
