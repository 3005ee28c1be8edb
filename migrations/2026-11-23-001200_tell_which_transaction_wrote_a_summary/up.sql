-- The transaction that wrote the row. If a transaction was still open at a reader's last poll, the reader has not seen
-- its rows. Times cannot show this: a transaction may commit long after others that began later. Existing rows get 0,
-- which counts as seen by all readers. The default applies to new rows; updates set the column themselves.
ALTER TABLE order_summary ADD COLUMN changed_in bigint NOT NULL DEFAULT 0;
ALTER TABLE order_summary ALTER COLUMN changed_in SET DEFAULT pg_current_xact_id()::text::bigint;
