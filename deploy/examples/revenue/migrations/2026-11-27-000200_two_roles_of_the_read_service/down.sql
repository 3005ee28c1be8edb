GRANT USAGE ON SCHEMA revenue TO orders_revenue;
GRANT SELECT ON revenue.by_month, revenue.by_sku TO orders_revenue;
REVOKE ALL ON revenue.by_month, revenue.by_sku FROM orders_revenue_read;
REVOKE USAGE ON SCHEMA revenue FROM orders_revenue_read;

DO $$
DECLARE
    setting text;
BEGIN
    EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM orders_revenue_b', current_database());
    -- Keeps the roles and their settings while another database of this server still uses them.
    BEGIN
        DROP ROLE orders_revenue_read;
        DROP ROLE orders_revenue_b;
        FOREACH setting IN ARRAY ARRAY[
            'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
            'default_transaction_read_only'
        ] LOOP
            EXECUTE format('ALTER ROLE orders_revenue RESET %I', setting);
        END LOOP;
    EXCEPTION
        WHEN dependent_objects_still_exist OR insufficient_privilege THEN
            NULL;
    END;
END
$$;
