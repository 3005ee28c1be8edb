-- What the role $1 may do with each object of the schema $2: its kind, its name, and the privileges. A column has a row
-- if the role may do more with it than with its table.
WITH names AS (
    SELECT oid, relname, relkind FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $2)
)
SELECT 'database', '', concat_ws(' ',
    CASE WHEN has_database_privilege($1, current_database(), 'CONNECT') THEN 'CONNECT' END,
    CASE WHEN has_database_privilege($1, current_database(), 'CREATE') THEN 'CREATE' END,
    CASE WHEN has_database_privilege($1, current_database(), 'TEMPORARY') THEN 'TEMPORARY' END)
UNION ALL
-- As a text: together with names alone, the longer list of a function would be cut off.
SELECT 'schema', nspname::text, concat_ws(' ',
    CASE WHEN has_schema_privilege($1, oid, 'USAGE') THEN 'USAGE' END,
    CASE WHEN has_schema_privilege($1, oid, 'CREATE') THEN 'CREATE' END)
FROM pg_namespace WHERE nspname = $2
UNION ALL
SELECT 'table', relname, coalesce(string_agg(privilege, ' ' ORDER BY place), '')
FROM names
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']
    || CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN ARRAY['MAINTAIN'] ELSE '{}' END)
    WITH ORDINALITY AS p (wanted, place)
CROSS JOIN LATERAL (SELECT CASE WHEN has_table_privilege($1, oid, wanted) THEN wanted END) AS has (privilege)
WHERE relkind IN ('r', 'p', 'v', 'm')
GROUP BY relname
UNION ALL
SELECT 'column', relname || '.' || attname, string_agg(wanted, ' ' ORDER BY wanted)
FROM names
JOIN pg_attribute ON attrelid = oid AND attnum > 0 AND NOT attisdropped
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) AS wanted
WHERE relkind IN ('r', 'p', 'v', 'm')
    AND has_column_privilege($1, oid, attnum, wanted) AND NOT has_table_privilege($1, oid, wanted)
GROUP BY relname, attname
UNION ALL
SELECT 'sequence', relname, concat_ws(' ',
    CASE WHEN has_sequence_privilege($1, oid, 'USAGE') THEN 'USAGE' END,
    CASE WHEN has_sequence_privilege($1, oid, 'SELECT') THEN 'SELECT' END,
    CASE WHEN has_sequence_privilege($1, oid, 'UPDATE') THEN 'UPDATE' END)
FROM names WHERE relkind = 'S'
UNION ALL
SELECT 'function', format('%s(%s)', proname, replace(oidvectortypes(proargtypes), ', ', ',')),
    CASE WHEN has_function_privilege($1, oid, 'EXECUTE') THEN 'EXECUTE' ELSE '' END
FROM pg_proc WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = $2)
UNION ALL
SELECT 'server', what, CASE WHEN bool_or(has_function_privilege($1, oid, 'EXECUTE')) THEN 'EXECUTE' ELSE '' END
FROM (VALUES
    ('large objects', '^lo_(creat|create|from_bytea)$'), ('messages in the WAL', '^pg_logical_emit_message$'),
    ('advisory locks', '^pg_(try_)?advisory_')
) AS known (what, functions)
JOIN pg_proc ON proname ~ functions AND pronamespace = 'pg_catalog'::regnamespace
GROUP BY what
