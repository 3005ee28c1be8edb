-- forget_attempts
-- Removes the oldest attempts of an endpoint: those of more than seven days ago, and those beyond a number of rows.
WITH input AS MATERIALIZED (
    SELECT $1::bigint AS endpoint, $2::bigint AS kept_max, $3::bigint AS removed_max
)
DELETE FROM webhook_attempts
WHERE endpoint = (SELECT endpoint FROM input)
    AND id = ANY(ARRAY(
        SELECT id
        FROM webhook_attempts AS oldest
        WHERE endpoint = (SELECT endpoint FROM input)
        ORDER BY id
        LIMIT (SELECT removed_max FROM input)
    ))
    AND (
        attempted_at < now() - interval '7 days'
        OR id <= (
            SELECT id
            FROM webhook_attempts AS newest
            WHERE endpoint = (SELECT endpoint FROM input)
            ORDER BY id DESC
            LIMIT 1
            OFFSET (SELECT kept_max FROM input)
        )
    )
