DROP FUNCTION find_lost_orders(uuid, bigint, integer);

-- `:"schema"` stands for the current schema: the function names it, because with a search_path one of its functions
-- could take the place of PostgreSQL's.
DO $do$
DECLARE
    function CONSTANT text := $function$
CREATE FUNCTION :"schema".find_lost_orders(
    after uuid, low_water_mark bigint, most integer,
    OUT last uuid, OUT checked integer, OUT lost uuid[]
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    -- By key, whatever the statistics say.
    SET enable_seqscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    AS $$
DECLARE
    unprojected constant integer := 5000;
    behind      uuid[];
BEGIN
    SELECT array_agg(page.order_id ORDER BY page.order_id) FILTER (
            WHERE summary.version IS NULL OR summary.version < page.version
        ),
        count(*)
    INTO behind, checked
    FROM (
        SELECT order_id, version FROM :"schema".orders WHERE order_id > after ORDER BY order_id LIMIT most
    ) AS page
    LEFT JOIN :"schema".order_summary AS summary USING (order_id);

    SELECT CASE WHEN checked < most THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff' ELSE newest.order_id END INTO last
    FROM (SELECT) AS one
    LEFT JOIN (
        SELECT order_id
        FROM (SELECT order_id FROM :"schema".orders WHERE order_id > after ORDER BY order_id LIMIT most) AS page
        ORDER BY order_id DESC
        LIMIT 1
    ) AS newest ON true;

    IF behind IS NOT NULL THEN
        IF (
                SELECT count(*)
                FROM (SELECT FROM :"schema".outbox WHERE id >= low_water_mark LIMIT unprojected + 1) AS events
            )
            + (SELECT count(*) FROM (SELECT FROM :"schema".waiting_events LIMIT unprojected + 1) AS events)
            + (SELECT count(*) FROM (SELECT FROM :"schema".parked_events LIMIT unprojected + 1) AS events) > unprojected
        THEN
            last := NULL;
            RETURN;
        END IF;
        SELECT array_agg(order_id) INTO behind
        FROM unnest(behind) AS behind (order_id)
        WHERE NOT EXISTS (
            SELECT FROM (
                SELECT payload FROM :"schema".outbox WHERE id >= low_water_mark
                UNION ALL SELECT payload FROM :"schema".waiting_events
                UNION ALL SELECT payload FROM :"schema".parked_events
            ) AS on_its_way
            WHERE strpos(payload::text, order_id::text) > 0
        );
    END IF;

    SELECT array_agg(order_id) INTO lost
    FROM (
        SELECT order_id FROM unnest(behind) AS behind (order_id)
        UNION ALL
        (
            SELECT summary.order_id
            FROM :"schema".order_summary AS summary
            LEFT JOIN :"schema".orders USING (order_id)
            WHERE summary.order_id > after AND summary.order_id <= last
                AND (orders.version IS NULL OR orders.version < summary.version)
            LIMIT most
        )
    ) AS found;
    lost := coalesce(lost, '{}');
END
$$;
$function$;
BEGIN
    EXECUTE replace(function, ':"schema"', quote_ident(current_schema()));
END
$do$;

REVOKE EXECUTE ON FUNCTION find_lost_orders(uuid, bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_lost_orders(uuid, bigint, integer) TO orders_projection;
