-- A validated CHECK cannot become NOT VALID again, so it is replaced.
SET LOCAL lock_timeout = '200ms';
ALTER TABLE orders DROP CONSTRAINT orders_total_exact, DROP CONSTRAINT orders_customer_id_addressable;
ALTER TABLE orders
    ADD CONSTRAINT orders_total_exact CHECK (total_cents <= 9007199254740991) NOT VALID,
    ADD CONSTRAINT orders_customer_id_addressable CHECK (
        customer_id NOT IN ('.', '..')
        AND customer_id = btrim(customer_id,
            E' \t\n\u000B\f\r\u0085\u00A0\u1680\u2000\u2001\u2002\u2003\u2004'
             '\u2005\u2006\u2007\u2008\u2009\u200A\u2028\u2029\u202F\u205F\u3000')
    ) NOT VALID;
