-- Drops what only the new columns hold. `write-api republish` fills them again after the next way up.
SET LOCAL lock_timeout = '200ms';
ALTER TABLE order_summary
    DROP COLUMN currency,
    DROP COLUMN items,
    DROP COLUMN carrier,
    DROP COLUMN tracking_number,
    DROP COLUMN cancel_reason,
    DROP COLUMN paid_at,
    DROP COLUMN shipped_at,
    DROP COLUMN delivered_at,
    DROP COLUMN cancelled_at;
