-- Revenue by month and currency, and orders by SKU.
--
-- `revenue` is what readers see: views, and the function that says whose tables they show. `revenue_1` has the tables
-- of the first read model; a changed one gets tables of its own in `revenue_2`, filled beside these.

-- The read service. Other databases of this server may have created the role before, or be creating it now.
DO $$
BEGIN
    CREATE ROLE orders_revenue LOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN
        NULL;
END
$$;

CREATE SCHEMA revenue_1;

-- What has been counted of each order.
CREATE TABLE revenue_1.orders (
    order_id    uuid    PRIMARY KEY,
    -- The newest version that was counted, and the state that it has.
    version     integer NOT NULL,
    status      text    NOT NULL,
    total_cents bigint  NOT NULL,
    -- NULL: no event has said it yet.
    paid_month  text,
    currency    text,
    -- The units of each SKU: {"POT-IRON": 1}.
    units       jsonb,

    CONSTRAINT orders_version_positive CHECK (version >= 1),
    CONSTRAINT orders_total_not_negative CHECK (total_cents >= 0),
    CONSTRAINT orders_paid_month_readable CHECK (paid_month ~ '^[0-9]{4}-[0-9]{2}$'),
    CONSTRAINT orders_currency_is_a_code CHECK (currency ~ '^[A-Z]{3}$')
);

-- Paid orders that were not cancelled. A text is empty where no event has said the month or the currency.
CREATE TABLE revenue_1.by_month (
    month         text    COLLATE "C" NOT NULL,
    currency      text    COLLATE "C" NOT NULL,
    orders        bigint  NOT NULL,
    -- Has no limit: a thousand orders with the largest total do not fit into a bigint.
    revenue_cents numeric NOT NULL,

    PRIMARY KEY (month, currency)
);

-- Newest month first, and its currencies in alphabetical order.
CREATE INDEX by_month_newest ON revenue_1.by_month (month DESC, currency);

-- Orders that were not cancelled.
CREATE TABLE revenue_1.by_sku (
    sku    text   COLLATE "C" PRIMARY KEY,
    orders bigint NOT NULL,
    units  bigint NOT NULL,

    CONSTRAINT by_sku_length CHECK (length(sku) BETWEEN 1 AND 64)
);

-- Each batch updates some rows of these again and again: leave room for their next versions on the same page.
ALTER TABLE revenue_1.by_month SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE revenue_1.by_sku SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

GRANT USAGE ON SCHEMA revenue_1 TO orders_projector;
GRANT SELECT, INSERT, UPDATE ON revenue_1.orders, revenue_1.by_month, revenue_1.by_sku TO orders_projector;

-- Makes readers see the tables in the schema `model`. All views change at once, in one statement: `SELECT
-- revenue.show('revenue_2')`. Each is locked for a moment. Readers queue behind that, so it gives up after 200 ms; try
-- again.
CREATE FUNCTION revenue.show(model name) RETURNS void
    LANGUAGE plpgsql
    SET lock_timeout = '200ms'
    AS $$
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE VIEW revenue.by_month AS
        SELECT month, currency, orders, revenue_cents FROM %I.by_month WHERE orders > 0', model
    );
    EXECUTE format(
        'CREATE OR REPLACE VIEW revenue.by_sku AS
        SELECT sku, orders, units FROM %I.by_sku WHERE orders > 0', model
    );
END
$$;
REVOKE EXECUTE ON FUNCTION revenue.show(name) FROM PUBLIC;

SELECT revenue.show('revenue_1');

-- The views read the tables with the rights of their owner. So the role of the read service needs none on the tables.
GRANT USAGE ON SCHEMA revenue TO orders_revenue;
GRANT SELECT ON revenue.by_month, revenue.by_sku TO orders_revenue;
