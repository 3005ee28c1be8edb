-- remove_subscription
-- The feeder's subscription, without what refers to it.
DELETE FROM subscriptions WHERE name = $1
