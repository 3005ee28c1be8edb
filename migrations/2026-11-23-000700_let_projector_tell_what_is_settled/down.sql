REVOKE SELECT ON SEQUENCE outbox_id_seq FROM orders_projector;
