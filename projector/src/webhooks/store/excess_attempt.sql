-- excess_attempt
-- The newest attempt of an endpoint that is not among a number of newest ones. It reads that many.
SELECT id
FROM webhook_attempts
WHERE endpoint = $1
ORDER BY id DESC
LIMIT 1
OFFSET $2
