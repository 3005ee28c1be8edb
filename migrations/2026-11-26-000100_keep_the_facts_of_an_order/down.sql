-- Drops what only the new columns hold: currency, shipment, reason and step times.
SET LOCAL lock_timeout = '200ms';
ALTER TABLE orders
    DROP COLUMN currency,
    DROP COLUMN carrier,
    DROP COLUMN tracking_number,
    DROP COLUMN cancel_reason,
    DROP COLUMN paid_at,
    DROP COLUMN shipped_at,
    DROP COLUMN delivered_at,
    DROP COLUMN cancelled_at;
