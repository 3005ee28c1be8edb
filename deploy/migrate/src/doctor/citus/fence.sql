-- Whether pg_hba.conf of each node that may own schemas rejects the product's logins from the other nodes. A process
-- that is connected to a wrong node, such as the old one after a move, then gets errors instead of wrong answers. As in
-- PostgreSQL, the first line that matches decides; NULL stands for a line of which this cannot tell.
WITH node AS (
    SELECT nodeid, format(CASE WHEN nodename ~ ':' THEN '[%s]:%s' ELSE '%s:%s' END, nodename, nodeport) AS name,
        shouldhaveshards OR groupid IN (SELECT pg_dist_placement.groupid FROM pg_dist_placement) AS may_own
    FROM pg_dist_node WHERE noderole = 'primary' AND isactive
),
-- Not the owner of the tables, as which Citus itself connects, and not the scaler: its function runs as the owner.
login AS (
    SELECT rolname FROM pg_roles
    WHERE rolcanlogin AND NOT rolsuper
        AND EXISTS (
            SELECT FROM pg_roles AS product
            WHERE product.rolname IN ('orders_write', 'orders_projection', 'orders_read')
                AND pg_has_role(pg_roles.oid, product.oid, 'MEMBER')
        )
        AND NOT EXISTS (
            SELECT FROM pg_class
            WHERE pg_class.oid = to_regclass('__diesel_schema_migrations')
                AND pg_has_role(pg_roles.oid, relowner, 'MEMBER')
        )
),
-- From which address each node connects to each other one.
connected AS MATERIALIZED (
    SELECT asked.nodeid AS source, seen.nodeid AS target, (seen.result::json ->> 'address')::inet AS address,
        (seen.result::json ->> 'ssl')::boolean AS ssl
    FROM run_command_on_all_nodes($command$
        SELECT json_agg(seen)
        FROM run_command_on_all_nodes(
            'SELECT json_build_object(''address'', host(inet_client_addr()), ''ssl'', ssl)
            FROM pg_stat_ssl WHERE pid = pg_backend_pid()'
        ) AS seen
        WHERE success
    $command$) AS asked
    CROSS JOIN LATERAL json_to_recordset(CASE WHEN success THEN result::json ELSE '[]' END)
        AS seen (nodeid integer, result text)
),
file AS MATERIALIZED (
    SELECT nodeid AS target, success, result
    FROM run_command_on_all_nodes('SELECT coalesce(json_agg(rule), ''[]'') FROM pg_hba_file_rules AS rule')
),
-- PostgreSQL 16 and later number the rules of all included files.
rule AS (
    SELECT target, coalesce(rule_number, line_number) AS number, line_number, type, database, user_name, address,
        netmask, auth_method = 'reject' AS rejects, error
    FROM file
    CROSS JOIN LATERAL json_to_recordset(CASE WHEN success THEN result::json ELSE '[]' END) AS rule (
        rule_number integer, line_number integer, type text, database text[], user_name text[], address text,
        netmask text, auth_method text, error text
    )
),
pair AS (
    SELECT target.nodeid AS target, source.nodeid AS source, rolname, address, ssl
    FROM node AS target
    JOIN node AS source ON source.nodeid <> target.nodeid
    CROSS JOIN login
    LEFT JOIN connected ON connected.target = target.nodeid AND connected.source = source.nodeid
    WHERE target.may_own
),
decisive AS (
    SELECT *, bool_or(is_match) OVER (
            PARTITION BY target, source, rolname ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS is_decided
    FROM (
        SELECT target, source, rolname, number, rejects,
            CASE type
                WHEN 'host' THEN true WHEN 'hostssl' THEN ssl WHEN 'hostnossl' THEN NOT ssl WHEN 'local' THEN false
            END
            AND EXISTS (
                SELECT FROM unnest(database) AS name
                WHERE name IN ('all', current_database()) OR (name = 'sameuser' AND rolname = current_database())
                    OR (has_patterns AND name LIKE '/%' AND current_database() ~ substr(name, 2))
            )
            AND EXISTS (
                SELECT FROM unnest(user_name) AS name
                WHERE name IN ('all', rolname) OR (has_patterns AND name LIKE '/%' AND rolname ~ substr(name, 2))
                    OR EXISTS (
                        SELECT FROM pg_roles AS granted
                        WHERE name = '+' || granted.rolname AND pg_has_role(pair.rolname, granted.oid, 'MEMBER')
                    )
            )
            AND CASE
                WHEN rule.address = 'all' THEN true
                WHEN netmask IS NULL THEN NULL
                WHEN family(pair.address) <> family(netmask::inet) THEN false
                ELSE pair.address & netmask::inet = rule.address::inet & netmask::inet
            END AS is_match
        FROM pair JOIN rule USING (target)
        CROSS JOIN (SELECT current_setting('server_version_num')::integer >= 160000) AS version (has_patterns)
    ) AS compared
    WHERE is_match IS NOT FALSE
),
-- Without a line that matches, PostgreSQL rejects.
verdict AS (
    SELECT target, source, rolname, pair.address,
        CASE
            WHEN bool_and(success) IS NOT TRUE OR target IN (SELECT rule.target FROM rule WHERE type IS NULL)
                THEN NULL
            WHEN bool_and(rejects) IS NOT FALSE THEN true
            WHEN bool_or(rejects) OR bool_or(is_match) IS NOT TRUE THEN NULL
            ELSE false
        END AS is_rejected
    FROM pair
    LEFT JOIN file USING (target)
    LEFT JOIN decisive USING (target, source, rolname)
    WHERE is_decided IS NOT TRUE
    GROUP BY target, source, rolname, pair.address
),
accepting AS (
    SELECT target, string_agg(DISTINCT quote_ident(rolname), ',') AS logins
    FROM verdict
    WHERE NOT is_rejected
    GROUP BY target
)
SELECT 'warning' AS level,
    format(
        '%s accepts %s from other nodes of Citus: connected to one that does not own the schema, a process gets wrong '
        'answers instead of an error', node.name, replace(logins, ',', ', ')
    ) AS finding,
    format(
        E'Put first into pg_hba.conf of %s, and run SELECT pg_reload_conf() there:\n%s', node.name,
        string_agg(
            DISTINCT format('host all %s %s reject', logins, coalesce(address::cidr::text, '<' || origin.name || '>')),
            E'\n'
        )
    ) AS remedy
FROM accepting
JOIN verdict USING (target)
JOIN node ON node.nodeid = target
JOIN node AS origin ON origin.nodeid = source
WHERE NOT is_rejected
GROUP BY node.name, logins
UNION ALL
SELECT 'warning', format('line %s of pg_hba.conf on %s is wrong: %s', line_number, name, error),
    format('Correct it, and run SELECT pg_reload_conf() on %s.', name)
FROM rule JOIN node ON nodeid = target
WHERE type IS NULL
UNION ALL
SELECT 'hint',
    format(
        'whether %s rejects other nodes of Citus cannot be checked: %s', string_agg(name, ', ' ORDER BY name), result
    ),
    'Run this as a superuser, while all nodes run.'
FROM file JOIN node ON nodeid = target
WHERE NOT success AND may_own
GROUP BY result
UNION ALL
SELECT 'hint',
    format(
        'whether %s rejects %s from other nodes of Citus cannot be told from its pg_hba.conf', name,
        string_agg(DISTINCT rolname, ', ')
    ),
    'Run this while all nodes run. If it says the same, write addresses instead of host names into pg_hba.conf.'
FROM verdict JOIN node ON nodeid = target JOIN file USING (target)
WHERE is_rejected IS NULL AND success AND target NOT IN (SELECT rule.target FROM rule WHERE type IS NULL)
GROUP BY name
ORDER BY 1, 2
