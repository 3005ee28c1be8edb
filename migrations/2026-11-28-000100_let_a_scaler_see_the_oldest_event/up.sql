-- The age in seconds of the oldest event in the outbox, or 0 if there is none: what a scaler of the projector (KEDA)
-- adds workers on. It has a group role of its own, which may run this function and nothing else, and two roles that log
-- in, as each process has since 2026-11-27-000100.
--
-- Waiting and parked events do not count. The first wait for the lock of another session, the second for a repair, so
-- more workers would not apply them sooner: one poison event would keep the most of them running.
--
-- The search starts at the position below which the projectors have found no event, so it does not read the events that
-- were deleted before. They publish it every ten seconds.
--
-- `:"schema"` stands for the current schema: the function names it, because with a search_path one of its functions
-- could take the place of PostgreSQL's. (A body without quotes would be bound to the tables and need no name, but then
-- no type of their columns can be changed.)
DO $do$
DECLARE
    function CONSTANT text := $function$
CREATE FUNCTION :"schema".oldest_event_seconds() RETURNS double precision
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    -- By key, also while the tables are small: from PostgreSQL 18 on, a session keeps the plan when they grow.
    SET enable_seqscan = off
    AS $$
SELECT coalesce(
    (SELECT greatest(0, extract(epoch FROM clock_timestamp()) - extract(epoch FROM created_at))
     FROM :"schema".outbox
     WHERE id >= coalesce((SELECT below FROM :"schema".event_log_settled ORDER BY below DESC LIMIT 1), 0)
     ORDER BY id
     LIMIT 1), 0)
$$;
$function$;
BEGIN
    EXECUTE replace(function, ':"schema"', quote_ident(current_schema()));
END
$do$;

REVOKE EXECUTE ON FUNCTION oldest_event_seconds() FROM PUBLIC;

DO $$
DECLARE
    login   text;
    setting record;
BEGIN
    -- Other databases of this server may have created the roles, or be doing it now. What is there is not changed.
    FOREACH login IN ARRAY ARRAY['orders_scaling', 'orders_scaler', 'orders_scaler_b'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
                -- The operator of KEDA has two connections at most; more are for another one that takes over.
                EXECUTE format(
                    'CREATE ROLE %I %s', login,
                    CASE login WHEN 'orders_scaling' THEN 'NOLOGIN' ELSE 'LOGIN CONNECTION LIMIT 5' END
                );
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;
        END;
    END LOOP;

    FOREACH login IN ARRAY ARRAY['orders_scaler', 'orders_scaler_b'] LOOP
        BEGIN
            IF NOT EXISTS (
                SELECT FROM pg_auth_members
                WHERE roleid = 'orders_scaling'::regrole AND member = login::regrole
            ) THEN
                EXECUTE format('GRANT orders_scaling TO %I', login);
            END IF;
            -- A role does not inherit the settings of its group. Those that an operator has changed stay.
            FOR setting IN
                SELECT name, value
                FROM (VALUES
                    ('statement_timeout', '60s'), ('lock_timeout', '10s'),
                    ('idle_in_transaction_session_timeout', '60s'), ('default_transaction_read_only', 'on')
                ) AS settings (name, value)
                WHERE NOT EXISTS (
                    SELECT FROM pg_db_role_setting, unnest(setconfig) AS set_before
                    WHERE setdatabase = 0 AND setrole = login::regrole AND split_part(set_before, '=', 1) = name
                )
            LOOP
                EXECUTE format('ALTER ROLE %I SET %I = %L', login, setting.name, setting.value);
            END LOOP;
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION
                    'role % was created by another role than %, which therefore cannot make it a member of '
                    'orders_scaling or give it settings. Run this as a superuser: GRANT orders_scaling, % TO % '
                    'WITH ADMIN OPTION', login, current_user, login, current_user;
        END;
        IF NOT pg_has_role(login, 'orders_scaling', 'USAGE') THEN
            RAISE EXCEPTION 'role % does not inherit the privileges of orders_scaling: run ALTER ROLE % INHERIT, and '
                'with PostgreSQL 16 or later GRANT orders_scaling TO % WITH INHERIT TRUE', login, login, login;
        END IF;
        -- To the role itself, so that no other database of this server drops it as unused.
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), login);
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO orders_scaling', current_schema());
END
$$;

GRANT EXECUTE ON FUNCTION oldest_event_seconds() TO orders_scaling;
