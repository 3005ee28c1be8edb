-- next_subscription_attempt
-- Milliseconds until a running subscription is due.
SELECT
    CASE
        WHEN state = 'running'
        THEN greatest(0, ceil(extract(epoch FROM next_attempt_at - now()) * 1000))::bigint
    END
FROM subscriptions
WHERE name = $1
