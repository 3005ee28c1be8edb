-- likely_cells
-- The schemas that have an outbox and a history of migrations, by name. The catalog alone tells: nothing of another
-- role is read.
SELECT
    nspname::text AS schema,
    history.relowner::regrole::text AS owner,
    EXISTS (
        SELECT FROM pg_database JOIN pg_roles ON rolname = current_user
        WHERE datname = current_database()
            AND (history.relowner = pg_roles.oid OR (history.relowner = datdba AND pg_has_role(datdba, 'USAGE')))
    ) AS is_own
FROM pg_class AS outbox
JOIN pg_class AS history USING (relnamespace)
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE outbox.relname = 'outbox' AND outbox.relkind = 'r' AND outbox.relpersistence = 'p'
    AND history.relname = '__diesel_schema_migrations' AND history.relkind = 'r' AND history.relpersistence = 'p'
ORDER BY nspname
