-- Roles with more rights than their process needs.
WITH RECURSIVE known AS (
    SELECT * FROM (VALUES
        ('orders_write', 'orders_write_api'), ('orders_write', 'orders_write_api_b'),
        ('orders_projection', 'orders_projector'), ('orders_projection', 'orders_projector_b'),
        ('orders_read', 'orders_read_api'), ('orders_read', 'orders_read_api_b')
    ) AS known (group_role, login)
),
ours AS (SELECT login AS name, group_role FROM known UNION SELECT group_role, group_role FROM known),
reached AS (
    SELECT name, group_role, oid FROM ours JOIN pg_roles ON rolname = name
    UNION
    SELECT name, group_role, roleid FROM reached JOIN pg_auth_members ON member = reached.oid
)
SELECT 'error' AS level, format(
        'role %s has %s%s', name, attribute, CASE WHEN rolname <> name THEN ', as a member of ' || rolname ELSE '' END
    ) AS finding,
    CASE
        WHEN rolname <> name THEN format('REVOKE %I FROM %I', rolname, name)
        ELSE format('ALTER ROLE %I NO%s', name, attribute)
    END AS remedy
FROM reached
JOIN pg_roles USING (oid)
CROSS JOIN LATERAL (VALUES
    ('SUPERUSER', rolsuper), ('CREATEROLE', rolcreaterole), ('CREATEDB', rolcreatedb),
    ('REPLICATION', rolreplication), ('BYPASSRLS', rolbypassrls),
    ('LOGIN', rolcanlogin AND rolname IN (SELECT group_role FROM known))
) AS attributes (attribute, is_set)
-- What is wrong with the group of a role is found at the group.
WHERE is_set AND (rolname = name OR rolname <> group_role)
UNION ALL
SELECT 'error', format('role %s can do what %s can do', name, rolname), format('REVOKE %I FROM %I', rolname, name)
FROM reached JOIN pg_roles USING (oid)
WHERE rolname NOT IN (name, group_role) AND (
    rolname ~ '^pg_' OR rolname IN (SELECT name FROM ours) OR EXISTS (SELECT FROM pg_class WHERE relowner = reached.oid)
)
UNION ALL
SELECT 'warning', format('role %s is a member of %s', name, rolname),
    format('If it need not be: REVOKE %I FROM %I', rolname, name)
FROM reached JOIN pg_roles USING (oid)
WHERE rolname NOT IN (name, group_role) AND NOT (
    rolname ~ '^pg_' OR rolname IN (SELECT name FROM ours) OR EXISTS (SELECT FROM pg_class WHERE relowner = reached.oid)
)
UNION ALL
SELECT 'error', format('role %s can make other roles members of %s', name, roleid::regrole),
    format('REVOKE ADMIN OPTION FOR %s FROM %I', roleid::regrole, name)
FROM ours
JOIN pg_roles ON rolname = name
JOIN pg_auth_members ON member = pg_roles.oid
WHERE admin_option
UNION ALL
SELECT 'error', format('role %s owns %s: it can change and read everything in it', rolname, object),
    format('ALTER %s OWNER TO another role: that of the migrations', object)
FROM pg_roles
JOIN ours ON name = rolname
CROSS JOIN LATERAL (
    SELECT 'TABLE ' || pg_class.oid::regclass FROM pg_class WHERE relowner = pg_roles.oid AND relkind IN ('r', 'p')
    UNION ALL
    SELECT 'FUNCTION ' || pg_proc.oid::regprocedure FROM pg_proc WHERE proowner = pg_roles.oid
    UNION ALL
    SELECT format('DATABASE %I', datname) FROM pg_database WHERE datdba = pg_roles.oid
    UNION ALL
    SELECT format('SCHEMA %I', nspname) FROM pg_namespace WHERE nspowner = pg_roles.oid AND nspname !~ '^pg_'
) AS owned (object)
ORDER BY 1, 2
