ALTER TABLE orders DROP COLUMN write_attempts;
