-- The roles, their members and the owner.
WITH known AS (
    SELECT * FROM (VALUES
        ('orders_write', 'orders_write_api'), ('orders_write', 'orders_write_api_b'),
        ('orders_projection', 'orders_projector'), ('orders_projection', 'orders_projector_b'),
        ('orders_read', 'orders_read_api'), ('orders_read', 'orders_read_api_b'),
        ('orders_scaling', 'orders_scaler'), ('orders_scaling', 'orders_scaler_b')
    ) AS known (group_role, login)
),
present AS (
    SELECT group_role, login FROM known
    WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = login)
        AND EXISTS (SELECT FROM pg_roles WHERE rolname = group_role)
),
history AS (SELECT relowner FROM pg_class WHERE oid = to_regclass('__diesel_schema_migrations'))
SELECT 'error' AS level, format('role %s does not exist', name) AS finding,
    format('CREATE ROLE %I %s', name, attribute) AS remedy
FROM (SELECT login, 'LOGIN' FROM known UNION SELECT group_role, 'NOLOGIN' FROM known) AS needed (name, attribute)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
UNION ALL
SELECT 'error', format('role %s cannot log in', login), format('ALTER ROLE %I LOGIN', login)
FROM present JOIN pg_roles ON rolname = login WHERE NOT rolcanlogin
UNION ALL
SELECT 'warning', format('the password of role %s has expired', login),
    format('Set a new one, and ALTER ROLE %I VALID UNTIL ''infinity''', login)
FROM present JOIN pg_roles ON rolname = login WHERE rolvaliduntil <= now()
UNION ALL
SELECT 'error', format('role %s does not have the privileges of %s', login, group_role),
    format('GRANT %I TO %I, ALTER ROLE %I INHERIT', group_role, login, login)
    || CASE WHEN current_setting('server_version_num')::integer >= 160000
        THEN format(', GRANT %I TO %I WITH INHERIT TRUE', group_role, login) ELSE '' END
FROM present WHERE NOT pg_has_role(login, group_role, 'USAGE')
UNION ALL
SELECT 'warning', format('role %s has the privileges of %s', rolname, name),
    format('If it need not have them: REVOKE %I FROM %I', name, rolname)
FROM (SELECT group_role FROM present UNION SELECT login FROM present) AS ours (name)
JOIN pg_auth_members ON roleid = name::regrole
JOIN pg_roles ON pg_roles.oid = member
WHERE rolname NOT IN (SELECT login FROM known) AND NOT rolsuper
    -- The owner may administer the roles, and members of the owner can become it.
    AND NOT EXISTS (SELECT FROM history WHERE pg_has_role(member, relowner, 'MEMBER'))
    -- Inherited, or with SET ROLE.
    AND (
        pg_has_role(member, roleid, 'USAGE')
        OR pg_has_role(
            member, roleid,
            CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END
        )
    )
UNION ALL
SELECT 'warning', format('the tables belong to the superuser %s, and functions run as it', rolname),
    'Give them to a role without superuser: migrations/README.md shows how.'
FROM history JOIN pg_roles ON pg_roles.oid = relowner WHERE rolsuper
UNION ALL
SELECT 'hint', format('the owner of the tables, %s, can log in', rolname),
    'Migrate as another role that is a member of a NOLOGIN owner: migrations/README.md shows how.'
FROM history JOIN pg_roles ON pg_roles.oid = relowner
-- Citus connects to its nodes as the owner.
WHERE rolcanlogin AND NOT rolsuper AND to_regproc('pg_catalog.citus_version') IS NULL
UNION ALL
SELECT 'error', format('%s belongs to %s, not to the owner of the migrations', name, owner::regrole),
    format('ALTER %s OWNER TO %s', name, (SELECT relowner::regrole FROM history))
FROM (
    SELECT 'TABLE ' || oid::regclass, pg_class.relowner FROM pg_class
    WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p')
    UNION ALL
    SELECT 'FUNCTION ' || oid::regprocedure, proowner FROM pg_proc
    WHERE pronamespace = quote_ident(current_schema())::regnamespace
) AS object (name, owner)
WHERE owner <> (SELECT relowner FROM history)
    AND owner::regrole::text NOT IN (SELECT login FROM known UNION SELECT group_role FROM known)
UNION ALL
SELECT 'warning', format(
        'the owner of the tables, %s, does not see the transactions of other roles: the projector has no metric of the '
        'oldest one', relowner::regrole
    ),
    format('Run as a superuser: GRANT pg_read_all_stats TO %s', relowner::regrole)
FROM history WHERE NOT pg_has_role(relowner, 'pg_read_all_stats', 'USAGE')
UNION ALL
SELECT 'hint', 'every role that may connect can make large objects and take advisory locks',
    'Run deploy/migrate/superuser.sql as a superuser. It is optional.'
WHERE has_function_privilege('public', 'lo_create(oid)', 'EXECUTE')
    OR has_function_privilege('public', 'pg_advisory_lock(bigint)', 'EXECUTE')
