REVOKE USAGE ON SCHEMA public FROM orders_write_api, orders_projector, orders_read_api;

-- Keeps a role that another database of this server still uses.
DO $$
DECLARE
    process_role text;
BEGIN
    FOREACH process_role IN ARRAY ARRAY['orders_write_api', 'orders_projector', 'orders_read_api'] LOOP
        BEGIN
            EXECUTE format('DROP ROLE %I', process_role);
        EXCEPTION
            WHEN dependent_objects_still_exist THEN
                NULL;
        END;
    END LOOP;
END
$$;
