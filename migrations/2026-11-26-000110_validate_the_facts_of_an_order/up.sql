-- In a transaction of its own: the previous migration holds an exclusive lock, and validation reads every row. It
-- blocks neither reads nor writes (SHARE UPDATE EXCLUSIVE).
ALTER TABLE orders
    VALIDATE CONSTRAINT orders_currency_is_a_code,
    VALIDATE CONSTRAINT orders_carrier_length,
    VALIDATE CONSTRAINT orders_tracking_number_length,
    VALIDATE CONSTRAINT orders_cancel_reason_length,
    VALIDATE CONSTRAINT orders_payment_fits_status,
    VALIDATE CONSTRAINT orders_shipment_fits_status,
    VALIDATE CONSTRAINT orders_delivery_fits_status,
    VALIDATE CONSTRAINT orders_cancellation_fits_status;
