-- catalog
-- The catalog, whose tables nobody locks: what the process needs and the database lacks.
WITH needed AS MATERIALIZED (
    SELECT n.relation, n.attribute, n.privilege, a.attrelid, a.attnum, a.atttypid, a.atttypmod
    FROM unnest($1, $2, $3) AS n (relation, attribute, privilege)
    LEFT JOIN pg_attribute AS a
        ON a.attrelid = to_regclass(n.relation) AND a.attname = n.attribute AND NOT a.attisdropped
)
SELECT
    -- Identifies the server process, as Backend::SQL.
    concat_ws(' ', pg_backend_pid(), extract(epoch FROM pg_postmaster_start_time())),
    current_setting('server_encoding'),
    current_setting('transaction_read_only') = 'on',
    (SELECT min(relation || '.' || attribute) FROM needed WHERE attnum IS NULL),
    (
        SELECT min(privilege || ' on ' || relation || '.' || attribute)
        FROM needed
        WHERE attnum IS NOT NULL AND NOT CASE privilege
            WHEN 'DELETE' THEN has_table_privilege(attrelid, privilege)
            ELSE has_column_privilege(attrelid, attnum, privilege)
        END
    ),
    -- A table that is not where unqualified names are looked for first, beside the history of migrations.
    (
        SELECT min(concat(relation, ' of schema ', relnamespace::regnamespace, ', and not of ', place::regnamespace))
        FROM needed
        JOIN pg_class ON pg_class.oid = attrelid
        CROSS JOIN (
            VALUES (current_schema()::regnamespace::oid),
                ((SELECT relnamespace FROM pg_class WHERE oid = to_regclass('__diesel_schema_migrations')))
        ) AS places (place)
        WHERE relation !~ '[.]' AND relnamespace <> place
    ),
    -- The shape: changes with every column's type. Prepared statements do not survive that.
    (
        SELECT string_agg(concat_ws(' ', attrelid, attnum, atttypid, atttypmod), ',' ORDER BY attrelid, attnum)
        FROM needed
    )
