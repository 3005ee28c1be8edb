ALTER TABLE parked_events ALTER COLUMN payload TYPE jsonb USING payload::jsonb;
ALTER TABLE outbox ALTER COLUMN payload TYPE jsonb USING payload::jsonb;
