DO $$
BEGIN
    EXECUTE format(
        'GRANT USAGE ON SCHEMA %I TO orders_write_api, orders_projector, orders_read_api', current_schema()
    );
    EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM orders_write, orders_projection, orders_read', current_schema());
END
$$;

GRANT SELECT, INSERT, UPDATE ON orders TO orders_write_api;
GRANT INSERT ON outbox TO orders_write_api;

GRANT SELECT, DELETE ON outbox TO orders_projector;
GRANT UPDATE (id) ON outbox TO orders_projector;
-- In this order, as they were given: a dump lists them so.
GRANT SELECT (id) ON outbox TO orders_write_api;
GRANT SELECT ON SEQUENCE outbox_id_seq TO orders_projector;
GRANT SELECT, INSERT, UPDATE ON order_summary TO orders_projector;
GRANT SELECT, INSERT, UPDATE, DELETE ON parked_events TO orders_projector;
GRANT SELECT, INSERT, UPDATE (id), DELETE ON waiting_events TO orders_projector;
GRANT SELECT ON event_log, event_log_state, event_log_settled, event_log_histories TO orders_projector;
GRANT INSERT, DELETE ON event_log_settled TO orders_projector;
GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions, subscription_parked TO orders_projector;
GRANT SELECT, INSERT, DELETE ON subscription_checkpoints TO orders_projector;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_endpoints, webhook_secrets, deliveries TO orders_projector;
GRANT SELECT, INSERT, DELETE ON webhook_attempts TO orders_projector;
GRANT EXECUTE ON FUNCTION
    oldest_transaction_seconds(), current_history(), create_event_log_partitions(), drop_expired_event_log_partition(),
    set_event_log_retention(integer)
    TO orders_projector;

GRANT SELECT ON order_summary TO orders_read_api;

REVOKE ALL ON orders, outbox FROM orders_write;
REVOKE ALL ON
    outbox, order_summary, parked_events, waiting_events, event_log, event_log_state, event_log_settled,
    event_log_histories, subscriptions, subscription_parked, subscription_checkpoints, webhook_endpoints,
    webhook_secrets, deliveries, webhook_attempts
    FROM orders_projection;
REVOKE ALL ON SEQUENCE outbox_id_seq FROM orders_projection;
REVOKE ALL ON FUNCTION
    oldest_transaction_seconds(), current_history(), create_event_log_partitions(), drop_expired_event_log_partition(),
    set_event_log_retention(integer)
    FROM orders_projection;
REVOKE ALL ON order_summary FROM orders_read;

DO $$
DECLARE
    process record;
    login   text;
    setting text;
BEGIN
    FOR process IN
        SELECT group_role, first
        FROM (VALUES
            ('orders_write', 'orders_write_api'), ('orders_projection', 'orders_projector'),
            ('orders_read', 'orders_read_api')
        ) AS process (group_role, first)
    LOOP
        FOREACH login IN ARRAY ARRAY[process.first, process.first || '_b'] LOOP
            EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM %I', current_database(), login);
        END LOOP;
        -- Keeps the roles and their settings while another database of this server still uses them.
        BEGIN
            EXECUTE format('DROP ROLE %I', process.group_role);
            EXECUTE format('DROP ROLE %I', process.first || '_b');
            FOREACH setting IN ARRAY ARRAY[
                'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
                'default_transaction_read_only'
            ] LOOP
                EXECUTE format('ALTER ROLE %I RESET %I', process.first, setting);
            END LOOP;
        EXCEPTION
            WHEN dependent_objects_still_exist OR insufficient_privilege THEN
                NULL;
        END;
    END LOOP;
END
$$;
