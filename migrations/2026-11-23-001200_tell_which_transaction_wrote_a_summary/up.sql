-- The transaction that wrote the row: what a reader has not seen yet is what was written by transactions that had not ended
-- when it last looked. Times could not tell, as a transaction may commit long after others that began later. Rows that are
-- there already count as seen by everybody. The default serves new rows; an update sets it anew.
ALTER TABLE order_summary ADD COLUMN changed_in bigint NOT NULL DEFAULT 0;
ALTER TABLE order_summary ALTER COLUMN changed_in SET DEFAULT pg_current_xact_id()::text::bigint;
