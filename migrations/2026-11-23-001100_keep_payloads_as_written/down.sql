-- jsonb cannot hold \u0000 within a string. An event that says so has to go first: see `projector parked`.
ALTER TABLE outbox DROP CONSTRAINT outbox_created_at_finite;
ALTER TABLE parked_events ALTER COLUMN payload TYPE jsonb USING payload::jsonb;
ALTER TABLE outbox ALTER COLUMN payload TYPE jsonb USING payload::jsonb;
