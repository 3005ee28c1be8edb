SET LOCAL lock_timeout = '200ms';
ALTER TABLE orders DROP COLUMN write_attempts;
