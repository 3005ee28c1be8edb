-- forget_attempts
-- Removes the oldest attempts of an endpoint: those of more than seven days ago, and those up to an id. If the oldest
-- of all is to stay, no others are read.
WITH input AS MATERIALIZED (
    SELECT $1::bigint AS endpoint, $2::bigint AS removed_max, $3::bigint AS excess_id
),
oldest AS MATERIALIZED (
    SELECT attempted_at < now() - interval '7 days' OR id <= (SELECT excess_id FROM input) AS is_removed
    FROM webhook_attempts
    WHERE endpoint = (SELECT endpoint FROM input)
    ORDER BY id
    LIMIT 1
)
DELETE FROM webhook_attempts
WHERE endpoint = (SELECT endpoint FROM input)
    AND id = ANY(ARRAY(
        SELECT id
        FROM webhook_attempts AS first
        WHERE endpoint = (SELECT endpoint FROM input)
        ORDER BY id
        LIMIT (SELECT CASE WHEN is_removed THEN removed_max ELSE 0 END FROM input, oldest)
    ))
    AND (attempted_at < now() - interval '7 days' OR id <= (SELECT excess_id FROM input))
