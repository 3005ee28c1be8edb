-- The server, and what it logs.
WITH setting AS (SELECT name, current_setting(name) AS value FROM pg_settings)
SELECT 'error' AS level,
    format('the server is PostgreSQL %s, but 15 or later is needed', current_setting('server_version')) AS finding,
    'Upgrade the server.' AS remedy
WHERE current_setting('server_version_num')::integer < 150000
UNION ALL
SELECT 'error',
    format('the database has the encoding %s, but only UTF8 can store every order', current_setting('server_encoding')),
    'Create the database anew with ENCODING ''UTF8'', and restore the data.'
WHERE current_setting('server_encoding') <> 'UTF8'
UNION ALL
SELECT 'warning', format('%s is off: a crash can lose acknowledged orders', name), format('Set %s = on.', name)
FROM setting WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND value = 'off'
UNION ALL
SELECT 'error',
    format('default_transaction_isolation is %s, but the processes rely on read committed', value),
    format('ALTER DATABASE %I RESET default_transaction_isolation, or set it in postgresql.conf.', current_database())
FROM setting WHERE name = 'default_transaction_isolation' AND value <> 'read committed'
UNION ALL
SELECT 'error', format('session_replication_role is %s: triggers do not run, so nothing is projected', value),
    format('Run as a superuser: ALTER DATABASE %I RESET session_replication_role, or ALTER SYSTEM RESET it.',
        current_database())
FROM setting WHERE name = 'session_replication_role' AND value = 'replica'
UNION ALL
SELECT 'warning',
    'log_error_verbosity is not terse: the server logs the whole row, with its customer, when a constraint refuses it',
    format('Run as a superuser: ALTER DATABASE %I SET log_error_verbosity = terse', current_database())
FROM setting WHERE name = 'log_error_verbosity' AND value <> 'terse'
UNION ALL
SELECT 'warning', format('%s is %s: the server logs what the statements contain, such as customers', name, value),
    format('Set %s = %s.', name, CASE name WHEN 'log_statement' THEN 'ddl' ELSE '0' END)
FROM setting
WHERE (name = 'log_statement' AND value IN ('mod', 'all'))
    OR (name = 'log_parameter_max_length_on_error' AND value <> '0')
    OR (
        name = 'log_parameter_max_length' AND value <> '0'
        AND EXISTS (
            SELECT FROM setting AS logged
            WHERE (logged.name IN ('log_min_duration_statement', 'log_min_duration_sample') AND logged.value <> '-1')
                OR (logged.name = 'log_transaction_sample_rate' AND logged.value <> '0')
        )
    )
UNION ALL
-- Those of extensions: no rows of pg_settings until the extension is loaded.
SELECT 'warning', format('%s is %s: the server logs what the statements contain, such as customers', name, value),
    format('Set %s = %s.', name, safe)
FROM (VALUES ('auto_explain.log_min_duration', '-1'), ('pgaudit.log_parameter', 'off')) AS logged (name, safe)
CROSS JOIN LATERAL current_setting(name, true) AS value
WHERE value NOT IN (safe, '')
UNION ALL
SELECT 'warning', 'ssl is off: what clients of other machines send and get, crosses the network in plaintext',
    'Set ssl = on, with a certificate: docs/connect-to-postgresql.md says what the processes need of it.'
FROM setting AS ssl, setting AS listen
WHERE ssl.name = 'ssl' AND ssl.value = 'off' AND listen.name = 'listen_addresses' AND EXISTS (
    SELECT FROM string_to_table(replace(listen.value, ' ', ''), ',') AS address
    WHERE address !~ '^(|localhost|127[.].*|::1)$'
)
UNION ALL
SELECT 'warning', 'password_encryption is md5, which is weak',
    'Set password_encryption = ''scram-sha-256'', and set the passwords again.'
FROM setting WHERE name = 'password_encryption' AND value = 'md5'
UNION ALL
SELECT 'error', 'the server is a standby: nothing can be written or repaired here',
    'Check the primary.'
WHERE pg_is_in_recovery()
UNION ALL
SELECT 'warning', format('the replication slot %s is not in use, and keeps WAL until the disk is full', slot_name),
    format('Start its standby, or SELECT pg_drop_replication_slot(%L)', slot_name)
FROM pg_replication_slots WHERE NOT active
UNION ALL
SELECT 'hint', 'max_slot_wal_keep_size is not limited: a standby that stays away fills the disk of the primary',
    'Set max_slot_wal_keep_size.'
FROM setting
WHERE name = 'max_slot_wal_keep_size' AND value = '-1' AND EXISTS (SELECT FROM pg_replication_slots)
UNION ALL
SELECT 'warning',
    format('the prepared transaction %s is older than five minutes: vacuum cannot remove what is newer', gid),
    format('COMMIT PREPARED %L, or ROLLBACK PREPARED %L', gid, gid)
FROM pg_prepared_xacts WHERE database = current_database() AND prepared < now() - interval '5 minutes'
