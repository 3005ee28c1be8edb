-- remove_subscription
DELETE FROM subscriptions
WHERE name = $1
