-- catalog
-- The catalog, whose tables nobody locks: what the process needs and the database lacks.
WITH needed AS MATERIALIZED (
    SELECT n.relation, n.attribute, n.privilege, a.attrelid, a.attnum, a.atttypid, a.atttypmod
    FROM unnest($1, $2, $3) AS n (relation, attribute, privilege)
    LEFT JOIN pg_attribute AS a
        ON a.attrelid = to_regclass(n.relation) AND a.attname = n.attribute AND NOT a.attisdropped
),
-- The schema that search_path names first, except that of the role's own name, if the process needs it. chr(36) is a
-- dollar sign.
path AS MATERIALIZED (
    SELECT CASE WHEN name LIKE '"%' THEN replace(substr(name, 2, length(name) - 2), '""', '"') ELSE lower(name) END
        AS first
    FROM regexp_matches(current_setting('search_path'), '"(?:[^"]|"")*"|[^",\s][^",]*', 'g')
        WITH ORDINALITY AS matched (names, number),
        rtrim(names[1]) AS name
    WHERE trim(name, '"') <> chr(36) || 'user' AND EXISTS (SELECT FROM needed WHERE relation !~ '[.]')
    ORDER BY number
    LIMIT 1
),
called AS MATERIALIZED (
    -- In the schema that unqualified names mean first: the function of another one has other tables.
    SELECT name, to_regproc(quote_ident(current_schema()) || '.' || quote_ident(name)) AS function
    FROM unnest($4) AS name
)
SELECT
    -- Identifies the server process, as Backend::SQL.
    concat_ws(' ', pg_backend_pid(), extract(epoch FROM pg_postmaster_start_time())),
    current_setting('server_encoding'),
    current_setting('transaction_read_only') = 'on',
    -- Otherwise the tables of the next schema would be used, which may be those of another cell.
    (
        SELECT format('search_path begins with %I, which is no schema, or one that the role may not use', first)
        FROM path
        WHERE first IS DISTINCT FROM current_schema() AND current_schema() IS DISTINCT FROM current_user
        UNION ALL
        SELECT format(
            'search_path has the tables of the schemas %s', string_agg(quote_ident(nspname), ' and ' ORDER BY nspname)
        )
        FROM pg_class
        -- Other programs have a history of migrations, too.
        JOIN pg_class AS outbox USING (relnamespace)
        JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE pg_class.relname = '__diesel_schema_migrations' AND outbox.relname = 'outbox'
            AND nspname = ANY (current_schemas(false))
            AND EXISTS (SELECT FROM needed WHERE relation !~ '[.]')
        HAVING count(*) > 1
        LIMIT 1
    ),
    (SELECT min(relation || '.' || attribute) FROM needed WHERE attnum IS NULL),
    (SELECT min(name) FROM called WHERE function IS NULL),
    coalesce(
        (
            SELECT min(privilege || ' on ' || relation || '.' || attribute)
            FROM needed
            WHERE attnum IS NOT NULL AND NOT CASE privilege
                WHEN 'DELETE' THEN has_table_privilege(attrelid, privilege)
                ELSE has_column_privilege(attrelid, attnum, privilege)
            END
        ),
        (SELECT min('EXECUTE on ' || name) FROM called WHERE NOT has_function_privilege(function, 'EXECUTE'))
    ),
    -- A table that is not where unqualified names are looked for first, beside the history of migrations.
    (
        SELECT min(concat(relation, ' of schema ', relnamespace::regnamespace, ', and not of ', place::regnamespace))
        FROM needed
        JOIN pg_class ON pg_class.oid = attrelid
        CROSS JOIN (
            VALUES (quote_ident(current_schema())::regnamespace::oid),
                ((SELECT relnamespace FROM pg_class WHERE oid = to_regclass('__diesel_schema_migrations')))
        ) AS places (place)
        WHERE relation !~ '[.]' AND relnamespace <> place
    ),
    -- The shape: changes with every column's type. Prepared statements do not survive that.
    (
        SELECT string_agg(concat_ws(' ', attrelid, attnum, atttypid, atttypmod), ',' ORDER BY attrelid, attnum)
        FROM needed
    ),
    -- Whether the process asks which node of Citus owns the schema.
    to_regclass('pg_catalog.pg_dist_schema') IS NOT NULL
