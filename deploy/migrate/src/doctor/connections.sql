-- Limits of connections, against what one process of each kind opens with the default settings. A scaler, which the
-- operator of KEDA is, opens two, and has a limit.
WITH needed (login, connections, usual) AS (
    VALUES ('orders_write_api', 10, -1), ('orders_write_api_b', 10, -1), ('orders_read_api', 17, -1),
        ('orders_read_api_b', 17, -1), ('orders_projector', 18, -1), ('orders_projector_b', 18, -1),
        ('orders_scaler', 2, 5), ('orders_scaler_b', 2, 5)
)
SELECT CASE WHEN rolconnlimit = 0 THEN 'error' ELSE 'warning' END AS level,
    format(
        'role %s may have %s connections; one process opens %s with the default settings', login, rolconnlimit,
        connections
    ) AS finding,
    format('ALTER ROLE %I CONNECTION LIMIT %s', login, usual) AS remedy
FROM needed JOIN pg_roles ON rolname = login
WHERE rolconnlimit >= 0 AND rolconnlimit < connections
UNION ALL
SELECT 'warning', format('role %s may have any number of connections; its process opens %s', login, connections),
    format('ALTER ROLE %I CONNECTION LIMIT %s', login, usual)
FROM needed JOIN pg_roles ON rolname = login
WHERE rolconnlimit < 0 AND usual >= 0
UNION ALL
SELECT CASE WHEN datconnlimit = 0 THEN 'error' ELSE 'warning' END,
    format('the database may have %s connections; one process of each kind opens 45 in all', datconnlimit),
    format('ALTER DATABASE %I CONNECTION LIMIT -1', datname)
FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0 AND datconnlimit < 45
