-- What is set for the roles and for the database.
WITH known AS (
    SELECT * FROM (VALUES
        ('orders_write_api'), ('orders_write_api_b'), ('orders_projector'), ('orders_projector_b'), ('orders_read_api'),
        ('orders_read_api_b'), ('orders_scaler'), ('orders_scaler_b')
    ) AS known (login)
),
needed AS (
    SELECT login, name, value
    FROM known CROSS JOIN (VALUES
        ('statement_timeout', '60s'), ('lock_timeout', '10s'), ('idle_in_transaction_session_timeout', '60s')
    ) AS limits (name, value)
    UNION ALL
    SELECT login, 'default_transaction_read_only', 'on' FROM known WHERE login ~ '^orders_(read_api|scaler)'
),
-- PostgreSQL takes those of the role in this database first.
found AS (
    SELECT coalesce(rolname, '') AS role, setdatabase <> 0 AS is_of_database, split_part(setting, '=', 1) AS name,
        substr(setting, strpos(setting, '=') + 1) AS value
    FROM pg_db_role_setting
    CROSS JOIN unnest(setconfig) AS setting
    LEFT JOIN pg_roles ON pg_roles.oid = setrole
    WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        AND (setrole = 0 OR rolname IN (SELECT login FROM known))
)
SELECT 'warning' AS level, format('role %s does not set %s', login, needed.name) AS finding,
    format('ALTER ROLE %I SET %I = %L', login, needed.name, needed.value) AS remedy
FROM needed
WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = login) AND NOT EXISTS (
    SELECT FROM found
    WHERE role = login AND found.name = needed.name
        AND (needed.value <> 'on' OR found.value IN ('on', 'true', 'yes', '1'))
        -- No limit.
        AND found.value !~ '^0+ *[a-z]*$'
)
UNION ALL
SELECT 'error',
    format('%s sets %s to %s', CASE role WHEN '' THEN 'the database' ELSE 'role ' || role END, name, value),
    format(
        'ALTER %s%s RESET %I. It belongs into the options of DATABASE_URL.',
        CASE role WHEN '' THEN format('DATABASE %I', current_database()) ELSE format('ROLE %I', role) END,
        CASE WHEN role <> '' AND is_of_database THEN format(' IN DATABASE %I', current_database()) ELSE '' END, name
    )
FROM found WHERE name IN ('search_path', 'role', 'session_authorization')
UNION ALL
-- A role may set most of these itself, and they outlast a change of its password.
SELECT level, format('role %s sets %s to %s: %s', role, name, value, effect),
    format(
        'ALTER ROLE %I%s RESET %I', role,
        CASE WHEN is_of_database THEN format(' IN DATABASE %I', current_database()) ELSE '' END, name
    )
FROM found
JOIN (VALUES
    ('synchronous_commit', '^off$', 'warning', 'orders are acknowledged before they are on disk'),
    ('default_transaction_isolation', '^(?!read committed$)', 'error', 'the processes rely on read committed'),
    ('default_transaction_read_only', '^(on|true|yes|1)$', 'error', 'its process has to write'),
    ('log_error_verbosity', '^(?!terse$)', 'warning', 'the server logs rows that a constraint refuses'),
    ('log_statement', '^(mod|all)$', 'warning', 'the server logs what its statements contain'),
    ('log_parameter_max_length_on_error', '^(?!0$)', 'warning', 'the server logs what its statements contain'),
    ('auto_explain.log_min_duration', '^(?!-1$)', 'warning', 'the server logs what its statements contain'),
    ('session_replication_role', '^replica$', 'error', 'its triggers do not run, so nothing is projected'),
    ('log_min_duration_statement', '^(?!-1$)', 'warning', 'the server logs what its statements contain'),
    ('log_min_duration_sample', '^(?!-1$)', 'warning', 'the server logs what its statements contain'),
    ('log_transaction_sample_rate', '[1-9]', 'warning', 'the server logs what its statements contain'),
    ('pgaudit.log_parameter', '^(on|true|yes|1)$', 'warning', 'the server logs what its statements contain')
) AS harmful (name, pattern, level, effect) USING (name)
WHERE role <> '' AND value ~ pattern
    AND NOT (name = 'default_transaction_read_only' AND role ~ '^orders_(read_api|scaler)')
    -- Otherwise they log statements without their values.
    AND (
        name !~ '^log_(min_duration|transaction)' OR current_setting('log_parameter_max_length') <> '0'
    )
