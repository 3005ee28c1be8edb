DROP FUNCTION oldest_event_seconds();

DO $$
BEGIN
    EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM orders_scaling', current_schema());
    EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM orders_scaler, orders_scaler_b', current_database());
    -- Keeps the roles and their settings while another database of this server still uses them.
    BEGIN
        DROP ROLE orders_scaling;
        DROP ROLE orders_scaler, orders_scaler_b;
    EXCEPTION
        WHEN dependent_objects_still_exist OR insufficient_privilege THEN
            NULL;
    END;
END
$$;
