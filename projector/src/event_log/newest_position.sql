-- newest_position
SELECT position
FROM event_log
ORDER BY position DESC
LIMIT 1
