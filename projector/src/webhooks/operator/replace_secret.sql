-- replace_secret
-- Lets the current secret end later, and the one before it now. Returns whether there is such an endpoint.
WITH endpoint AS MATERIALIZED (
    UPDATE webhook_endpoints
    SET revision = revision + 1
    WHERE id = $1
    RETURNING id
),
older AS (
    DELETE FROM webhook_secrets
    USING endpoint
    WHERE webhook_secrets.endpoint = endpoint.id AND expires_at IS NOT NULL
),
previous AS (
    UPDATE webhook_secrets
    SET expires_at = now() + $2 * interval '1 hour'
    FROM endpoint
    WHERE webhook_secrets.endpoint = endpoint.id AND expires_at IS NULL
)
SELECT id FROM endpoint
