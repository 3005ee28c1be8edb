-- load_endpoints
-- What a process keeps in memory of each endpoint. The current secret comes first.
SELECT id, url, kinds, state = 'active', revision, ARRAY(
    SELECT secret
    FROM webhook_secrets
    WHERE endpoint = webhook_endpoints.id AND (expires_at IS NULL OR expires_at > now())
    ORDER BY created_at DESC
)
FROM webhook_endpoints
ORDER BY id
