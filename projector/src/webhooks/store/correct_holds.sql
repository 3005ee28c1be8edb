-- correct_holds
-- Ends holds that are longer than any is: the clock was ahead.
UPDATE webhook_endpoints
SET hold_until = '-infinity'
WHERE id = $1 AND hold_until > now() + $2 * interval '1 millisecond'
