-- newest_attempt
-- The newest attempt of an endpoint.
SELECT id
FROM webhook_attempts
WHERE endpoint = $1
ORDER BY id DESC
LIMIT 1
