-- One role per process. Each later migration grants what a process may do with the table that it creates.
-- The roles may log in but have no password: a server that asks for one lets nobody in until an operator sets it.
--
-- Roles belong to the whole server, not to this database. Another database of the same server may have made them
-- already, or may be making them right now, so both ways of finding them there are fine.
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

-- Databases that were upgraded from before PostgreSQL 15 still let everybody create tables here.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO orders_write_api, orders_projector, orders_read_api;
