-- Nobody looks into a payload in SQL: it is written as text, kept, and read as text. As jsonb it was taken apart and put
-- together again on the way, which was a third of the cost of a claim. json is checked when it is written, and no more.
--
-- Both tables are rewritten under an exclusive lock. They are short unless the projector has been away for long: let it
-- catch up first. Binaries that cast to jsonb keep working.
ALTER TABLE outbox ALTER COLUMN payload TYPE json USING payload::json;
ALTER TABLE parked_events ALTER COLUMN payload TYPE json USING payload::json;
