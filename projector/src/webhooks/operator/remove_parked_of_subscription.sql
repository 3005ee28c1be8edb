-- remove_parked_of_subscription
DELETE FROM subscription_parked WHERE subscription = $1
