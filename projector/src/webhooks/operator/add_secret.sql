-- add_secret
INSERT INTO webhook_secrets (endpoint, secret) VALUES ($1, $2)
