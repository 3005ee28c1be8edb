-- record_success
-- Something was accepted. Writes nothing if that was so before.
UPDATE webhook_endpoints
SET failures = 0, failing_since = NULL
WHERE id = $1 AND failures > 0
