-- jsonb cannot store \u0000 in a string. Remove such events first, with `projector parked`.
ALTER TABLE outbox DROP CONSTRAINT outbox_created_at_finite;
ALTER TABLE parked_events ALTER COLUMN payload TYPE jsonb USING payload::jsonb;
ALTER TABLE outbox ALTER COLUMN payload TYPE jsonb USING payload::jsonb;
