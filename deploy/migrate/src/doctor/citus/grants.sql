-- Grants that other nodes lack: Citus does not pass on those of sequences, and a move makes another node the owner. $1
-- has what the migrations grant. What this node lacks is found by the check of grants.
WITH needed AS (
    SELECT number, matched[1] AS privilege, matched[2] AS kind, format('%I.%s', current_schema(), matched[3]) AS object,
        matched[4] AS role
    FROM regexp_matches($1, '^(\w+) ON (SEQUENCE|FUNCTION) (.+) TO (\w+)$', 'gn') WITH ORDINALITY AS t (matched, number)
),
node AS (
    SELECT nodeid, format(CASE WHEN nodename ~ ':' THEN '[%s]:%s' ELSE '%s:%s' END, nodename, nodeport) AS address,
        EXISTS (
            SELECT FROM pg_dist_schema
            JOIN pg_dist_partition USING (colocationid)
            JOIN pg_dist_shard USING (logicalrelid)
            JOIN pg_dist_placement USING (shardid)
            WHERE schemaid = quote_ident(current_schema())::regnamespace
                AND pg_dist_placement.groupid = pg_dist_node.groupid
        ) AS is_owner
    FROM pg_dist_node WHERE groupid <> (SELECT groupid FROM pg_dist_local_group)
),
-- The numbers of those that a node lacks.
asked AS MATERIALIZED (
    SELECT nodeid, success, result
    FROM run_command_on_all_nodes((
        SELECT format(
            'SELECT coalesce(json_agg(number), ''[]'') FROM (VALUES %s) AS needed (number, has) WHERE has IS NOT TRUE',
            string_agg(
                format(
                    CASE kind
                        WHEN 'SEQUENCE' THEN '(%s, has_sequence_privilege(to_regrole(%L)::oid, to_regclass(%L), %L))'
                        ELSE '(%s, has_function_privilege(to_regrole(%L)::oid, to_regprocedure(%L), %L))'
                    END,
                    number, role, object, privilege
                ),
                ', '
            )
        )
        FROM needed
    ))
),
missing AS (
    SELECT nodeid, number::bigint
    FROM asked CROSS JOIN LATERAL json_array_elements_text(CASE WHEN success THEN result::json ELSE '[]' END) AS number
)
SELECT CASE WHEN bool_or(is_owner) THEN 'error' ELSE 'warning' END AS level,
    format(
        'missing on %s: %s ON %s %s TO %s',
        string_agg(address || CASE WHEN is_owner THEN ' (owns the schema)' ELSE '' END, ', ' ORDER BY nodeid),
        privilege, kind, object, role
    ) AS finding,
    format(
        'SELECT * FROM run_command_on_all_nodes(%L)', format('GRANT %s ON %s %s TO %I', privilege, kind, object, role)
    ) AS remedy
FROM missing JOIN node USING (nodeid) JOIN needed USING (number)
GROUP BY privilege, kind, object, role
UNION ALL
SELECT 'hint', format('what the roles may do on %s cannot be checked from here: %s', address, result),
    format('Let DATABASE_URL name %s, and run this again.', address)
FROM asked JOIN node USING (nodeid)
WHERE NOT success
ORDER BY 1, 2
