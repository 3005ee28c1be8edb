-- has_deferrable_constraints
-- Whether a table that this role may write has deferrable constraints or constraint triggers. PostgreSQL stores both as
-- triggers.
SELECT EXISTS (
    SELECT
    FROM pg_trigger
    WHERE tgdeferrable
        AND (
            has_table_privilege(tgrelid, 'INSERT, UPDATE, DELETE')
            OR has_any_column_privilege(tgrelid, 'INSERT, UPDATE')
        )
)
