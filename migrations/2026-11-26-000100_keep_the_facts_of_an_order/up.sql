-- An order keeps all of its data: its currency, its shipment, why it was cancelled, and the time of each
-- step. Rows and writers from before this migration lack them, so every column may be NULL.
--
-- A fact may be there only in a status that its step leads to. It may be missing in all of them: writers of older
-- builds set the status only, and leave these columns as they are.
--
-- NOT VALID reads no rows, so the exclusive lock is held only briefly. Other sessions queue behind this statement and
-- give up after 300 ms (DATABASE_LOCK_TIMEOUT_MS). So it gives up sooner.
SET LOCAL lock_timeout = '200ms';

ALTER TABLE orders
    -- The ISO 4217 code of the currency of all amounts.
    ADD COLUMN currency text,
    ADD COLUMN carrier text,
    ADD COLUMN tracking_number text,
    ADD COLUMN cancel_reason text,
    ADD COLUMN paid_at timestamptz,
    ADD COLUMN shipped_at timestamptz,
    ADD COLUMN delivered_at timestamptz,
    ADD COLUMN cancelled_at timestamptz,
    ADD CONSTRAINT orders_currency_is_a_code CHECK (currency COLLATE "C" ~ '^[A-Z]{3}$') NOT VALID,
    ADD CONSTRAINT orders_carrier_length CHECK (char_length(carrier) BETWEEN 1 AND 64) NOT VALID,
    ADD CONSTRAINT orders_tracking_number_length CHECK (char_length(tracking_number) BETWEEN 1 AND 128) NOT VALID,
    ADD CONSTRAINT orders_cancel_reason_length CHECK (char_length(cancel_reason) BETWEEN 1 AND 500) NOT VALID,
    -- An order that was cancelled as version 3 had been paid.
    ADD CONSTRAINT orders_payment_fits_status CHECK (
        paid_at IS NULL OR status IN ('paid', 'shipped', 'delivered') OR (status = 'cancelled' AND version = 3)
    ) NOT VALID,
    ADD CONSTRAINT orders_shipment_fits_status CHECK (
        (shipped_at IS NULL AND carrier IS NULL AND tracking_number IS NULL) OR status IN ('shipped', 'delivered')
    ) NOT VALID,
    ADD CONSTRAINT orders_delivery_fits_status CHECK (delivered_at IS NULL OR status = 'delivered') NOT VALID,
    ADD CONSTRAINT orders_cancellation_fits_status CHECK (
        (cancelled_at IS NULL AND cancel_reason IS NULL) OR status = 'cancelled'
    ) NOT VALID;
