-- The read service gets what each process of the product has since its `2026-11-27-000100`: a group role with the
-- grants, two roles that log in, so that a password changes without an outage, and settings for sessions that set none.
DO $$
DECLARE
    login   text;
    setting record;
    more    record;
BEGIN
    -- Other databases of this server may have created the roles, or be doing it now. What is there is not changed.
    FOREACH login IN ARRAY ARRAY['orders_revenue_read', 'orders_revenue_b'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
                EXECUTE format(
                    'CREATE ROLE %I %s', login, CASE login WHEN 'orders_revenue_b' THEN 'LOGIN' ELSE 'NOLOGIN' END
                );
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;
        END;
    END LOOP;

    FOR more IN
        SELECT rolname AS name, attribute
        FROM pg_roles
        CROSS JOIN LATERAL (VALUES
            ('SUPERUSER', rolsuper), ('CREATEROLE', rolcreaterole), ('CREATEDB', rolcreatedb),
            ('REPLICATION', rolreplication), ('BYPASSRLS', rolbypassrls),
            ('LOGIN', rolcanlogin AND rolname = 'orders_revenue_read')
        ) AS attributes (attribute, is_set)
        WHERE rolname IN ('orders_revenue', 'orders_revenue_b', 'orders_revenue_read') AND is_set
        ORDER BY name, attribute
    LOOP
        RAISE EXCEPTION 'role % has more rights than its process may have: %. Run ALTER ROLE % NO%, and run this again',
            more.name, more.attribute, more.name, more.attribute;
    END LOOP;

    FOREACH login IN ARRAY ARRAY['orders_revenue', 'orders_revenue_b'] LOOP
        IF NOT EXISTS (
            SELECT FROM pg_auth_members
            WHERE roleid = 'orders_revenue_read'::regrole AND member = login::regrole
        ) THEN
            EXECUTE format('GRANT orders_revenue_read TO %I', login);
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
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), login);
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA revenue TO orders_revenue_read;
GRANT SELECT ON revenue.by_month, revenue.by_sku TO orders_revenue_read;
REVOKE ALL ON revenue.by_month, revenue.by_sku FROM orders_revenue;
REVOKE USAGE ON SCHEMA revenue FROM orders_revenue;
