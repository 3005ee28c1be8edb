DO $$
BEGIN
    EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM orders_revenue', current_database());
END
$$;

GRANT USAGE ON SCHEMA revenue_1 TO orders_projector;
GRANT SELECT, INSERT, UPDATE ON revenue_1.orders, revenue_1.by_month, revenue_1.by_sku TO orders_projector;
REVOKE ALL ON revenue_1.orders, revenue_1.by_month, revenue_1.by_sku FROM orders_projection;
REVOKE USAGE ON SCHEMA revenue_1 FROM orders_projection;
