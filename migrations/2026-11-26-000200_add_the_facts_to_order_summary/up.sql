-- The read model keeps everything that is known of an order. Rows from before this migration get it from
-- `write-api republish`; until then the columns are NULL. An older projector leaves them as they are.
--
-- NOT VALID reads no rows, so the exclusive lock is held only briefly. Other sessions queue behind this statement and
-- give up after 300 ms (DATABASE_LOCK_TIMEOUT_MS). So it gives up sooner.
SET LOCAL lock_timeout = '200ms';

-- There is no column for the time of the last change: it is the time of the step that led to `status`. A column of its
-- own would go stale when an older projector writes the status and leaves the column as it was.
ALTER TABLE order_summary
    ADD COLUMN currency text,
    -- A JSON array of objects with `sku`, `quantity` and `price_cents`. No statement reads inside it, and json, unlike
    -- jsonb, is stored as it was written.
    ADD COLUMN items json,
    ADD COLUMN carrier text,
    ADD COLUMN tracking_number text,
    ADD COLUMN cancel_reason text,
    ADD COLUMN paid_at timestamptz,
    ADD COLUMN shipped_at timestamptz,
    ADD COLUMN delivered_at timestamptz,
    ADD COLUMN cancelled_at timestamptz,
    -- Lists contain the currency, so their index does too: a long text would not fit into it.
    ADD CONSTRAINT order_summary_currency_is_a_code CHECK (currency COLLATE "C" ~ '^[A-Z]{3}$') NOT VALID;

-- Items never change. Where they make a row longer than 2 kB they are out of line, and a step writes a pointer to them
-- instead of a copy. Compressed, even those of 50 lines would stay in the row. A row of up to 2 kB always has its items
-- in line, whatever toast_tuple_target says: so the few items of most orders cost no second table.
ALTER TABLE order_summary ALTER COLUMN items SET STORAGE EXTERNAL;
