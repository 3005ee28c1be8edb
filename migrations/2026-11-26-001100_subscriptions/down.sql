DROP TABLE subscription_parked, subscription_checkpoints, subscriptions;
