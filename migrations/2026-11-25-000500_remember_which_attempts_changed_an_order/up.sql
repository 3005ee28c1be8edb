-- If a writer loses the connection during a commit, the random id of its attempt shows whether the commit took place,
-- even after later changes. The newest id comes first; the last eight are kept. Writers of older builds do not change
-- the column. Waits for the exclusive lock for less time than the sessions that queue behind it
-- (DATABASE_LOCK_TIMEOUT_MS, 300).
SET LOCAL lock_timeout = '200ms';
ALTER TABLE orders ADD COLUMN write_attempts bigint[];
