-- By default every role of the server may connect to this database, create temporary tables in it and use its schema
-- `public`. From here on, only roles to which that is granted.
--
-- Roles of your own that have privileges on something in this database keep the two that they need. To others, such as
-- one for monitoring, grant CONNECT yourself. The way back leaves what these roles were granted.
DO $$
DECLARE
    role text;
BEGIN
    FOR role IN
        SELECT DISTINCT rolname
        FROM pg_shdepend JOIN pg_roles ON pg_roles.oid = refobjid
        WHERE refclassid = 'pg_authid'::regclass
            AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND rolname NOT IN (
                'orders_write', 'orders_projection', 'orders_read', 'orders_write_api', 'orders_projector',
                'orders_read_api', current_user
            )
            AND rolname !~ '^pg_'
        ORDER BY rolname
    LOOP
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
        EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role);
    END LOOP;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    REVOKE ALL ON SCHEMA public FROM PUBLIC;
    EXECUTE format('REVOKE ALL ON SCHEMA %I FROM PUBLIC', current_schema());
    -- Who logs in to become the role that migrates may not inherit its privileges.
    FOR role IN
        SELECT rolname FROM pg_roles
        WHERE rolcanlogin AND pg_has_role(oid, current_user, 'MEMBER')
            AND NOT has_database_privilege(oid, current_database(), 'CONNECT')
        ORDER BY rolname
    LOOP
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
    END LOOP;
    -- To a role without the right to do so, PostgreSQL only gives a warning.
    IF has_database_privilege('public', current_database(), 'CONNECT')
        OR has_database_privilege('public', current_database(), 'TEMPORARY')
        OR has_schema_privilege('public', 'public', 'USAGE') THEN
        RAISE EXCEPTION 'role % cannot revoke what all roles may do in database %: migrate as the role that owns it, '
            'or run ALTER DATABASE % OWNER TO % as a superuser', current_user, current_database(),
            current_database(), current_user;
    END IF;
END
$$;
