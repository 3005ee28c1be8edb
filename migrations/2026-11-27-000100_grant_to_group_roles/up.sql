-- The privileges of each process move to a group role, of which the role that its process logs in with is a member. So
-- a process can have two roles while a password is changed: `orders_write_api` and `orders_write_api_b`. The processes
-- of earlier releases notice nothing: their roles inherit the same privileges.
DO $$
DECLARE
    role record;
    more record;
BEGIN
    -- Roles belong to the whole server. Another database of it may have created them before, or may be creating them
    -- now: the first CREATE ROLE waits for its end. What is there already is not changed: the role that migrates may
    -- have no right to do that, and two databases cannot change a role at the same time.
    FOR role IN
        SELECT name, is_login
        FROM unnest(ARRAY['orders_write', 'orders_projection', 'orders_read']) AS name, (VALUES (false)) AS f (is_login)
        UNION ALL
        SELECT name, true
        FROM unnest(ARRAY[
            'orders_write_api', 'orders_write_api_b', 'orders_projector', 'orders_projector_b', 'orders_read_api',
            'orders_read_api_b'
        ]) AS name
    LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role.name) THEN
                EXECUTE format('CREATE ROLE %I %s', role.name, CASE WHEN role.is_login THEN 'LOGIN' ELSE 'NOLOGIN' END);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;
        END;
    END LOOP;

    -- What a role may do beyond the grants below would make them worthless.
    FOR more IN
        WITH RECURSIVE reached AS (
            SELECT rolname AS name, oid FROM pg_roles
            WHERE rolname IN (
                'orders_write_api', 'orders_write_api_b', 'orders_projector', 'orders_projector_b', 'orders_read_api',
                'orders_read_api_b', 'orders_write', 'orders_projection', 'orders_read'
            )
            UNION
            SELECT name, roleid FROM reached JOIN pg_auth_members ON member = reached.oid
        )
        SELECT name, rolname AS through, attribute
        FROM reached
        JOIN pg_roles USING (oid)
        CROSS JOIN LATERAL (VALUES
            ('SUPERUSER', rolsuper), ('CREATEROLE', rolcreaterole), ('CREATEDB', rolcreatedb),
            ('REPLICATION', rolreplication), ('BYPASSRLS', rolbypassrls),
            ('LOGIN', rolcanlogin AND rolname IN ('orders_write', 'orders_projection', 'orders_read')),
            ('the rights of the role that migrates', rolname = current_user),
            ('access to all data or to the server''s files', rolname IN (
                'pg_database_owner', 'pg_read_all_data', 'pg_write_all_data', 'pg_read_server_files',
                'pg_write_server_files', 'pg_execute_server_program'
            ))
        ) AS attributes (attribute, is_set)
        WHERE is_set
        ORDER BY name, rolname = name DESC, rolname, attribute
    LOOP
        RAISE EXCEPTION 'role % has more rights than its process may have: %. %, and run this again',
            more.name,
            more.attribute || CASE WHEN more.through <> more.name THEN ', as a member of ' || more.through ELSE '' END,
            CASE
                WHEN more.through <> more.name THEN format('Revoke the role %s', more.through)
                WHEN more.name = current_user THEN 'Migrate as the role that owns the database'
                ELSE format('Run ALTER ROLE %s NO%s', more.name, more.attribute)
            END;
    END LOOP;
END
$$;

DO $$
DECLARE
    process record;
    setting record;
BEGIN
    FOR process IN
        SELECT group_role, login || suffix AS login
        FROM (VALUES
            ('orders_write', 'orders_write_api'), ('orders_projection', 'orders_projector'),
            ('orders_read', 'orders_read_api')
        ) AS first (group_role, login), (VALUES (''), ('_b')) AS two (suffix)
    LOOP
        BEGIN
            IF NOT EXISTS (
                SELECT FROM pg_auth_members
                WHERE roleid = process.group_role::regrole AND member = process.login::regrole
            ) THEN
                EXECUTE format('GRANT %I TO %I', process.group_role, process.login);
            END IF;
            -- For sessions that set none of their own: the processes do. A role does not inherit the settings of its
            -- group. Those that an operator has changed stay.
            FOR setting IN
                SELECT name, value
                FROM (VALUES
                    ('statement_timeout', '60s'), ('lock_timeout', '10s'),
                    ('idle_in_transaction_session_timeout', '60s')
                ) AS limits (name, value)
                UNION ALL
                SELECT 'default_transaction_read_only', 'on' WHERE process.group_role = 'orders_read'
            LOOP
                IF NOT EXISTS (
                    SELECT FROM pg_db_role_setting, unnest(setconfig) AS set_before
                    WHERE setdatabase = 0 AND setrole = process.login::regrole
                        AND split_part(set_before, '=', 1) = setting.name
                ) THEN
                    EXECUTE format('ALTER ROLE %I SET %I = %L', process.login, setting.name, setting.value);
                END IF;
            END LOOP;
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION
                    'role % was created by another role than %, which therefore cannot make it a member of % or give '
                    'it settings. Run this as a superuser: GRANT %, % TO % WITH ADMIN OPTION',
                    process.login, current_user, process.group_role, process.group_role, process.login, current_user;
        END;
        IF NOT pg_has_role(process.login, process.group_role, 'USAGE') THEN
            RAISE EXCEPTION 'role % does not inherit the privileges of %: run ALTER ROLE % INHERIT, and with '
                'PostgreSQL 16 or later GRANT % TO % WITH INHERIT TRUE',
                process.login, process.group_role, process.login, process.group_role, process.login;
        END IF;
        -- To the role itself, so that no other database of this server drops it as unused.
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), process.login);
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO orders_write, orders_projection, orders_read', current_schema());
    EXECUTE format(
        'REVOKE USAGE ON SCHEMA %I FROM orders_write_api, orders_projector, orders_read_api', current_schema()
    );
END
$$;

GRANT SELECT, INSERT, UPDATE ON orders TO orders_write;
GRANT INSERT ON outbox TO orders_write;
GRANT SELECT (id) ON outbox TO orders_write;

GRANT SELECT, DELETE ON outbox TO orders_projection;
GRANT UPDATE (id) ON outbox TO orders_projection;
GRANT SELECT ON SEQUENCE outbox_id_seq TO orders_projection;
GRANT SELECT, INSERT, UPDATE ON order_summary TO orders_projection;
GRANT SELECT, INSERT, UPDATE, DELETE ON parked_events TO orders_projection;
GRANT SELECT, INSERT, UPDATE (id), DELETE ON waiting_events TO orders_projection;
GRANT SELECT ON event_log, event_log_state, event_log_settled, event_log_histories TO orders_projection;
GRANT INSERT, DELETE ON event_log_settled TO orders_projection;
GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions, subscription_parked TO orders_projection;
GRANT SELECT, INSERT, DELETE ON subscription_checkpoints TO orders_projection;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_endpoints, webhook_secrets, deliveries TO orders_projection;
GRANT SELECT, INSERT, DELETE ON webhook_attempts TO orders_projection;
GRANT EXECUTE ON FUNCTION
    oldest_transaction_seconds(), current_history(), create_event_log_partitions(), drop_expired_event_log_partition(),
    set_event_log_retention(integer)
    TO orders_projection;

GRANT SELECT ON order_summary TO orders_read;

-- From here on, everything that a process may do is a grant to its group.
REVOKE ALL ON orders, outbox FROM orders_write_api;
REVOKE ALL ON
    outbox, order_summary, parked_events, waiting_events, event_log, event_log_state, event_log_settled,
    event_log_histories, subscriptions, subscription_parked, subscription_checkpoints, webhook_endpoints,
    webhook_secrets, deliveries, webhook_attempts
    FROM orders_projector;
REVOKE ALL ON SEQUENCE outbox_id_seq FROM orders_projector;
REVOKE ALL ON FUNCTION
    oldest_transaction_seconds(), current_history(), create_event_log_partitions(), drop_expired_event_log_partition(),
    set_event_log_retention(integer)
    FROM orders_projector;
REVOKE ALL ON order_summary FROM orders_read_api;
