-- `write-api republish` pauses while the outbox is long. It needs only the ids to count the events.
GRANT SELECT (id) ON outbox TO orders_write_api;
