SELECT max(id), count(*) FROM (SELECT id FROM waiting_events WHERE id > $1 ORDER BY id LIMIT $2) AS next
