-- Without its subscription: one that is created again starts at the oldest event.
DELETE FROM subscription_parked WHERE subscription = 'revenue_1';
DELETE FROM subscriptions WHERE name = 'revenue_1';

DROP FUNCTION revenue.show(name);
DROP VIEW revenue.by_month, revenue.by_sku;
DROP SCHEMA revenue_1 CASCADE;

REVOKE USAGE ON SCHEMA revenue FROM orders_revenue;
-- Keeps the role if another database of this server still uses it.
DO $$
BEGIN
    DROP ROLE orders_revenue;
EXCEPTION
    WHEN dependent_objects_still_exist THEN
        NULL;
END
$$;
