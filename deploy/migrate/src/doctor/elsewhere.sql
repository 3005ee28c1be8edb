-- What the roles may use outside the current schema, and what was added to its tables.
WITH ours AS (
    SELECT oid, rolname FROM pg_roles WHERE rolname IN (
        'orders_write', 'orders_projection', 'orders_read', 'orders_scaling', 'orders_write_api', 'orders_write_api_b',
        'orders_projector', 'orders_projector_b', 'orders_read_api', 'orders_read_api_b', 'orders_scaler',
        'orders_scaler_b'
    )
    UNION ALL SELECT 0, 'PUBLIC'
),
-- Of the server itself, with what initdb gave.
object (object, col, acl, given) AS (
    SELECT 'TABLE ' || pg_class.oid::regclass, '', relacl, coalesce(initprivs, acldefault('r', relowner))
    FROM pg_class LEFT JOIN pg_init_privs ON objoid = pg_class.oid AND classoid = 'pg_class'::regclass AND objsubid = 0
    WHERE relnamespace = 'pg_catalog'::regnamespace
    UNION ALL
    SELECT 'TABLE ' || attrelid::regclass, format(' (%I)', attname), attacl, initprivs
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    LEFT JOIN pg_init_privs ON objoid = attrelid AND classoid = 'pg_class'::regclass AND objsubid = attnum
    WHERE relnamespace = 'pg_catalog'::regnamespace
    UNION ALL
    SELECT 'FUNCTION ' || pg_proc.oid::regprocedure, '', proacl, coalesce(initprivs, acldefault('f', proowner))
    FROM pg_proc LEFT JOIN pg_init_privs ON objoid = pg_proc.oid AND classoid = 'pg_proc'::regclass
    WHERE pronamespace = 'pg_catalog'::regnamespace
    UNION ALL
    SELECT 'PARAMETER ' || parname, '', paracl, NULL FROM pg_parameter_acl
    UNION ALL
    SELECT 'TABLESPACE ' || quote_ident(spcname), '', spcacl, NULL FROM pg_tablespace
    UNION ALL
    SELECT 'LARGE OBJECT ' || oid, '', lomacl, NULL FROM pg_largeobject_metadata
    UNION ALL
    SELECT 'LANGUAGE ' || quote_ident(lanname), '', lanacl, coalesce(initprivs, acldefault('l', lanowner))
    FROM pg_language LEFT JOIN pg_init_privs ON objoid = pg_language.oid AND classoid = 'pg_language'::regclass
    UNION ALL
    SELECT 'FOREIGN SERVER ' || quote_ident(srvname), '', srvacl, NULL FROM pg_foreign_server
),
added AS (
    SELECT object, rolname, privilege_type || col AS privilege
    FROM object CROSS JOIN LATERAL aclexplode(acl) AS now JOIN ours ON ours.oid = grantee
    WHERE NOT EXISTS (
        SELECT FROM aclexplode(given) AS given
        WHERE given.grantee = now.grantee AND given.privilege_type = now.privilege_type
    )
)
SELECT 'error' AS level, format('not needed: %s ON %s TO %s', privilege, object, rolname) AS finding,
    format('Run as a superuser: REVOKE %s ON %s FROM %s', privilege, object, rolname) AS remedy
FROM added
UNION ALL
SELECT 'warning', format('%s may make objects in the schema %s', rolname, nspname),
    format('REVOKE CREATE ON SCHEMA %I FROM %s', nspname, rolname)
FROM pg_namespace CROSS JOIN LATERAL aclexplode(nspacl) JOIN ours ON ours.oid = grantee
WHERE privilege_type = 'CREATE' AND nspname <> current_schema() AND nspname !~ '^pg_'
UNION ALL
SELECT 'error', format('the rule %s of %s changes what statements of the processes do', rulename, ev_class::regclass),
    format('DROP RULE %I ON %s', rulename, ev_class::regclass)
FROM pg_rewrite JOIN pg_class ON pg_class.oid = ev_class
WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p')
ORDER BY 1, 2
