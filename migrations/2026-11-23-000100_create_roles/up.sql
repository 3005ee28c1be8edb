-- One role per process. Each later migration grants the privileges on the table that it creates.
-- The roles can log in but have no password. On a server that requires one, no process can connect until an operator
-- sets it.
--
-- Roles belong to the whole server, not to one database. Another database of the same server may have created them
-- before, or may be creating them at the same time; both errors are expected.
DO $$
DECLARE
    process_role text;
BEGIN
    FOREACH process_role IN ARRAY ARRAY['orders_write_api', 'orders_projector', 'orders_read_api'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I LOGIN', process_role);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;
        END;
    END LOOP;
END
$$;

-- In databases upgraded from before PostgreSQL 15, every role may still create tables here.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO orders_write_api, orders_projector, orders_read_api;
