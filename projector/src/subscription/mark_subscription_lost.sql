-- mark_subscription_lost
UPDATE subscriptions
SET state = 'lost',
    last_error = $1,
    updated_at = now()
WHERE name = $2
