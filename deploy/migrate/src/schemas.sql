-- The current schema, and the one that search_path names first if that is another: it does not exist, or the role may
-- not use it. `"$user"`, which PostgreSQL has there by default, may be missing; chr(36) is its dollar sign. The check
-- of a process, catalog.sql of the service kit, takes the name in the same way.
SELECT current_schema()::text AS current, (
        SELECT CASE WHEN first <> current_schema() OR current_schema() IS NULL THEN first END
        FROM (
            SELECT CASE
                WHEN name LIKE '"%' THEN replace(substr(name, 2, length(name) - 2), '""', '"')
                ELSE lower(name)
            END AS first
            FROM regexp_matches(current_setting('search_path'), '"(?:[^"]|"")*"|[^",\s][^",]*', 'g')
                WITH ORDINALITY AS matched (names, number),
                rtrim(names[1]) AS name
            WHERE trim(name, '"') <> chr(36) || 'user'
            ORDER BY number
            LIMIT 1
        ) AS path
        WHERE current_schema() IS DISTINCT FROM current_user
    ) AS missing
