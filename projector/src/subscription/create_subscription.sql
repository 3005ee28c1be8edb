-- create_subscription
INSERT INTO subscriptions (name)
VALUES ($1)
ON CONFLICT (name) DO NOTHING
