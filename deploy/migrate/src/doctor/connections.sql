-- Limits of connections, against what one process of each kind opens with the default settings. A scaler, which the
-- operator of KEDA is, opens two, and has a limit. All cells of the database share the roles.
WITH cell AS (
    SELECT count(*)::integer AS cells, CASE WHEN count(*) > 1 THEN format(' in each of %s cells', count(*)) END AS each
    FROM pg_class JOIN pg_class AS history USING (relnamespace)
    WHERE pg_class.relname = 'outbox' AND pg_class.relkind = 'r'
        AND history.relname = '__diesel_schema_migrations' AND history.relkind = 'r'
),
needed (login, connections, usual) AS (
    SELECT login, connections * cells, CASE WHEN is_limited THEN greatest(5, connections * cells) ELSE -1 END
    FROM cell, (VALUES
        ('orders_write_api', 10, false), ('orders_write_api_b', 10, false), ('orders_read_api', 17, false),
        ('orders_read_api_b', 17, false), ('orders_projector', 18, false), ('orders_projector_b', 18, false),
        ('orders_scaler', 2, true), ('orders_scaler_b', 2, true)
    ) AS process (login, connections, is_limited)
)
SELECT CASE WHEN rolconnlimit = 0 THEN 'error' ELSE 'warning' END AS level,
    format(
        'role %s may have %s connections; one process%s opens %s with the default settings', login, rolconnlimit,
        each, connections
    ) AS finding,
    format('ALTER ROLE %I CONNECTION LIMIT %s', login, usual) AS remedy
FROM cell, needed JOIN pg_roles ON rolname = login
WHERE rolconnlimit >= 0 AND rolconnlimit < connections
UNION ALL
SELECT 'warning',
    format('role %s may have any number of connections; its process%s opens %s', login, each, connections),
    format('ALTER ROLE %I CONNECTION LIMIT %s', login, usual)
FROM cell, needed JOIN pg_roles ON rolname = login
WHERE rolconnlimit < 0 AND usual >= 0
UNION ALL
SELECT CASE WHEN datconnlimit = 0 THEN 'error' ELSE 'warning' END,
    format(
        'the database may have %s connections; one process of each kind%s opens %s in all', datconnlimit, each,
        45 * cells
    ),
    format('ALTER DATABASE %I CONNECTION LIMIT -1', datname)
FROM cell, pg_database
WHERE datname = current_database() AND datconnlimit >= 0 AND datconnlimit < 45 * cells
