-- What the write side refuses from now on, orders may not have. Orders that were placed before and break a rule could not
-- be changed any more once there is a CHECK: where there are any, this stops with their number.
--
-- SKUs have the same rule on white space and no CHECK: each would have to be taken out of `items` on every insert. Prices and
-- line totals need none: they are never more than the order's total. `order_summary` has no such CHECK: it takes every event
-- that was ever legal.
--
-- A write-api of before this migration still accepts what the CHECKs refuse, and answers such a request with 500 instead of
-- 201 until it is replaced: nothing is stored that its successor could not change.
DO $$
DECLARE
    large_totals bigint;
    customer_ids bigint;
BEGIN
    SELECT count(*) FILTER (WHERE total_cents > 9007199254740991),
        count(*) FILTER (WHERE customer_id IN ('.', '..') OR customer_id <> btrim(customer_id,
            E' \t\n\u000B\f\r\u0085\u00A0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A\u2028\u2029\u202F\u205F\u3000'))
        INTO large_totals, customer_ids FROM orders;
    IF large_totals > 0 OR customer_ids > 0 THEN
        RAISE EXCEPTION
            '% orders have a total above 9007199254740991 cents, % a customer id that is a dot segment or has white space at an end: see migrations/README.md, "Orders that break a new rule"',
            large_totals, customer_ids;
    END IF;
END
$$;

-- The exclusive lock is held for a moment only: NOT VALID reads no rows. Checkouts queue behind a migration that waits for
-- it, so it waits for less than they do (DATABASE_LOCK_TIMEOUT_MS, 300).
SET LOCAL lock_timeout = '200ms';

ALTER TABLE orders
    -- A client that reads numbers as 64-bit floats, as JavaScript does, reads every total up to 2^53 - 1 exactly.
    ADD CONSTRAINT orders_total_exact CHECK (total_cents <= 9007199254740991) NOT VALID,
    -- A path cannot name `.` or `..`, and white space at the end of a path or a header gets lost. This is Unicode's White_Space.
    ADD CONSTRAINT orders_customer_id_addressable CHECK (
        customer_id NOT IN ('.', '..')
        AND customer_id = btrim(customer_id,
            E' \t\n\u000B\f\r\u0085\u00A0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A\u2028\u2029\u202F\u205F\u3000')
    ) NOT VALID;
