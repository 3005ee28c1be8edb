-- A validated CHECK cannot become NOT VALID again, so it is replaced.
SET LOCAL lock_timeout = '200ms';
ALTER TABLE orders
    DROP CONSTRAINT orders_currency_is_a_code,
    DROP CONSTRAINT orders_carrier_length,
    DROP CONSTRAINT orders_tracking_number_length,
    DROP CONSTRAINT orders_cancel_reason_length,
    DROP CONSTRAINT orders_payment_fits_status,
    DROP CONSTRAINT orders_shipment_fits_status,
    DROP CONSTRAINT orders_delivery_fits_status,
    DROP CONSTRAINT orders_cancellation_fits_status;
ALTER TABLE orders
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
