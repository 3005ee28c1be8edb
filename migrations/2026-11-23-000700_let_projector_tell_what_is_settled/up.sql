-- The projector's claims start at the low-water mark. To advance it, the projector reads the newest allocated outbox
-- id.
GRANT SELECT ON SEQUENCE outbox_id_seq TO orders_projector;
