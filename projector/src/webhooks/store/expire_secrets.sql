-- expire_secrets
-- Removes secrets whose time is over, and has all processes load the endpoint again.
WITH expired AS (
    DELETE FROM webhook_secrets
    WHERE expires_at <= now()
    RETURNING endpoint
)
UPDATE webhook_endpoints
SET revision = revision + 1
FROM expired
WHERE id = expired.endpoint
