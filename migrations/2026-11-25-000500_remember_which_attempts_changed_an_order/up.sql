-- A writer that lost the connection during a commit finds out by its attempt's random id whether the commit took place, also
-- after later changes. The newest id comes first; only the last eight changes are kept. Writers of older builds leave it alone.
-- The exclusive lock is waited for shorter than others wait behind it (DATABASE_LOCK_TIMEOUT_MS, 300).
SET LOCAL lock_timeout = '200ms';
ALTER TABLE orders ADD COLUMN write_attempts bigint[];
