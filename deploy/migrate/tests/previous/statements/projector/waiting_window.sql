-- waiting_window
-- The last id of the next window of waiting events, how many events it has, and the highest id of all.
SELECT
    max(id),
    count(*),
    -- Not max(id): planned while the table was empty, it would read the whole index.
    (SELECT id FROM waiting_events ORDER BY id DESC LIMIT 1)
FROM (
    SELECT id
    FROM waiting_events
    WHERE id > $1
    ORDER BY id
    LIMIT $2
) AS next
