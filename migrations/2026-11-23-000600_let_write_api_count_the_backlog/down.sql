REVOKE SELECT (id) ON outbox FROM orders_write_api;
