-- waiting_window
-- The last id of the next window of waiting events, and how many events it has.
SELECT max(id), count(*)
FROM (
    SELECT id
    FROM waiting_events
    WHERE id > $1
    ORDER BY id
    LIMIT $2
) AS next
