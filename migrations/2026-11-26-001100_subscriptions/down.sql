DROP TABLE subscription_parked, subscriptions;
