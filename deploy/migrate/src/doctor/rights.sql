-- Roles with more rights than their process needs. The migrator stops at those that are errors.
WITH RECURSIVE known AS (
    SELECT * FROM (VALUES
        ('orders_write', 'orders_write_api'), ('orders_write', 'orders_write_api_b'),
        ('orders_projection', 'orders_projector'), ('orders_projection', 'orders_projector_b'),
        ('orders_read', 'orders_read_api'), ('orders_read', 'orders_read_api_b'),
        ('orders_scaling', 'orders_scaler'), ('orders_scaling', 'orders_scaler_b')
    ) AS known (group_role, login)
    UNION
    -- Those of migrations beside the product.
    SELECT * FROM unnest($1, $2)
),
ours AS (SELECT login AS name, group_role FROM known UNION SELECT group_role, group_role FROM known),
-- With the role that was granted to `name` itself, through which it reaches another.
reached (name, group_role, oid, granted) AS (
    SELECT name, group_role, oid, NULL::oid FROM ours JOIN pg_roles ON rolname = name
    UNION
    SELECT name, group_role, roleid, coalesce(granted, roleid)
    FROM reached JOIN pg_auth_members ON member = reached.oid
    -- What is wrong with the group of a role is found at the group.
    WHERE name = group_role OR reached.oid NOT IN (SELECT oid FROM pg_roles WHERE rolname = group_role)
),
owned (owner, object) AS (
    SELECT relowner, format('%s %s', kind, oid::regclass)
    FROM pg_class
    JOIN (VALUES
        ('r'::"char", 'TABLE'), ('p', 'TABLE'), ('f', 'FOREIGN TABLE'), ('v', 'VIEW'), ('m', 'MATERIALIZED VIEW')
    ) AS kinds (relkind, kind) USING (relkind)
    WHERE relpersistence <> 't'
    UNION ALL
    SELECT proowner, 'FUNCTION ' || oid::regprocedure FROM pg_proc
    UNION ALL
    SELECT datdba, format('DATABASE %I', datname) FROM pg_database
    UNION ALL
    SELECT nspowner, format('SCHEMA %I', nspname) FROM pg_namespace WHERE nspname !~ '^pg_'
),
-- What another role than the group of a role must not pass on to it.
powerful AS (
    SELECT DISTINCT oid FROM reached JOIN pg_roles USING (oid)
    WHERE rolname ~ '^pg_' OR rolname IN (SELECT name FROM ours) OR oid IN (SELECT owner FROM owned)
)
SELECT 'error' AS level, format(
        'role %s has %s%s', name, attribute, CASE WHEN rolname <> name THEN ', as a member of ' || rolname ELSE '' END
    ) AS finding,
    CASE
        WHEN rolname <> name THEN format('REVOKE %s FROM %I', granted::regrole, name)
        ELSE format('ALTER ROLE %I NO%s', name, attribute)
    END AS remedy
FROM reached
JOIN pg_roles USING (oid)
CROSS JOIN LATERAL (VALUES
    ('SUPERUSER', rolsuper), ('CREATEROLE', rolcreaterole), ('CREATEDB', rolcreatedb),
    ('REPLICATION', rolreplication), ('BYPASSRLS', rolbypassrls),
    ('LOGIN', rolcanlogin AND rolname IN (SELECT group_role FROM known))
) AS attributes (attribute, is_set)
WHERE is_set AND (rolname = name OR rolname <> group_role)
UNION ALL
SELECT 'error', format('role %s can do what %s can do', name, rolname),
    format('REVOKE %s FROM %I', granted::regrole, name)
FROM reached JOIN pg_roles USING (oid)
WHERE rolname NOT IN (name, group_role) AND oid IN (SELECT oid FROM powerful)
UNION ALL
SELECT 'warning', format('role %s is a member of %s', name, rolname),
    format('If it need not be: REVOKE %s FROM %I', granted::regrole, name)
FROM reached JOIN pg_roles USING (oid)
WHERE rolname NOT IN (name, group_role) AND oid NOT IN (SELECT oid FROM powerful)
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
JOIN owned ON owner = pg_roles.oid
ORDER BY 1, 2
