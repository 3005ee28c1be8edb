-- Compares the privileges in the current schema with $1, what the migrations grant: a line each, as GRANT spells it,
-- with `*` for the names of the database and the schema.
WITH expected AS (
    SELECT replace(
        replace(line, 'DATABASE *', format('DATABASE %I', current_database())),
        'SCHEMA *', format('SCHEMA %I', current_schema())
    ) AS line
    FROM string_to_table($1, E'\n') AS line
    WHERE line <> ''
),
object (kind, name, owner, acl, is_column, col) AS (
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, oid::regclass::text, relowner, relacl, false, ''
    FROM pg_class
    WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
    UNION ALL
    SELECT 'TABLE', attrelid::regclass::text, relowner, attacl, true, format(' (%I)', attname)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = quote_ident(current_schema())::regnamespace AND NOT attisdropped
    UNION ALL
    SELECT 'FUNCTION', oid::regprocedure::text, proowner, coalesce(proacl, acldefault('f', proowner)), false, ''
    FROM pg_proc WHERE pronamespace = quote_ident(current_schema())::regnamespace
    UNION ALL
    SELECT 'SCHEMA', quote_ident(nspname), nspowner, coalesce(nspacl, acldefault('n', nspowner)), false, ''
    FROM pg_namespace WHERE nspname = current_schema()
    UNION ALL
    SELECT 'DATABASE', quote_ident(datname), datdba, coalesce(datacl, acldefault('d', datdba)), false, ''
    FROM pg_database WHERE datname = current_database()
),
actual AS (
    SELECT format('%s%s ON %s %s TO %s', privilege_type, col, kind, name, coalesce(rolname, 'PUBLIC')) AS line,
        is_grantable
    FROM object
    CROSS JOIN LATERAL aclexplode(acl)
    LEFT JOIN pg_roles ON pg_roles.oid = grantee
    WHERE grantee <> owner AND (
        grantee = 0 OR rolname IN (
            'orders_write', 'orders_projection', 'orders_read', 'orders_scaling', 'orders_write_api',
            'orders_write_api_b', 'orders_projector', 'orders_projector_b', 'orders_read_api', 'orders_read_api_b',
            'orders_scaler', 'orders_scaler_b'
        )
    )
),
elsewhere AS (
    SELECT DISTINCT rolname, pg_class.oid::regclass AS name
    FROM pg_class
    CROSS JOIN LATERAL aclexplode(relacl)
    JOIN pg_roles ON pg_roles.oid = grantee
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname <> current_schema() AND nspname !~ '^pg_'
        AND rolname ~ '^orders_(write_api|projector|read_api|scaler)(_b)?$'
)
SELECT 'error' AS level, 'missing: ' || line AS finding, 'GRANT ' || line AS remedy
FROM expected WHERE line NOT IN (SELECT line FROM actual)
UNION ALL
SELECT 'error', 'not needed: ' || line, 'REVOKE ' || regexp_replace(line, ' TO ([^ ]+)$', ' FROM \1')
FROM actual WHERE line NOT IN (SELECT line FROM expected)
UNION ALL
SELECT 'error', 'can be passed on: ' || line,
    'REVOKE GRANT OPTION FOR ' || regexp_replace(line, ' TO ([^ ]+)$', ' FROM \1')
FROM actual WHERE is_grantable
UNION ALL
SELECT 'error', format('role %s can use %s, which only the projector may', rolname, name),
    format('REVOKE ALL ON %s FROM %I', name, rolname)
FROM object
CROSS JOIN LATERAL aclexplode(acl)
JOIN pg_roles ON pg_roles.oid = grantee
WHERE name = 'webhook_secrets' AND grantee <> owner AND rolname !~ '^orders_(write|projection|read|scaling)$'
    AND rolname !~ '^orders_(write_api|projector|read_api|scaler)(_b)?$'
UNION ALL
SELECT 'error', format('row security is enabled for %s, which hides its rows from the processes', oid::regclass),
    format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', oid::regclass)
FROM pg_class WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relrowsecurity
UNION ALL
SELECT DISTINCT 'warning', format(
        '%s has privileges on each table that %s makes, such as partitions of the event log',
        coalesce(rolname, 'PUBLIC'), defaclrole::regrole
    ),
    format('ALTER DEFAULT PRIVILEGES FOR ROLE %s%s REVOKE ALL ON TABLES FROM %s', defaclrole::regrole,
        CASE WHEN defaclnamespace <> 0 THEN format(' IN SCHEMA %s', defaclnamespace::regnamespace) END,
        coalesce(quote_ident(rolname), 'PUBLIC'))
FROM pg_default_acl
CROSS JOIN LATERAL aclexplode(defaclacl)
LEFT JOIN pg_roles ON pg_roles.oid = grantee
WHERE defaclobjtype = 'r' AND defaclnamespace IN (0, quote_ident(current_schema())::regnamespace)
    AND (
        grantee = 0
        OR rolname ~ '^orders_(write(_api|_api_b)?|projection|projector(_b)?|read(_api|_api_b)?|scaling|scaler(_b)?)$'
    )
UNION ALL
SELECT 'warning', format('role %s has privileges of its own on %s, which its second role does not have', rolname, name),
    'Grant them to its group: orders_write, orders_projection, orders_read or orders_scaling.'
FROM elsewhere
ORDER BY 1, 2
