-- Replaces the function of 2026-11-27-000400: it reads a page of orders once instead of twice, searches the outbox by
-- key in any session, and also returns the version of each lost order, for the log: that in `orders`, or that of a
-- summary without its order. Binaries that name the three columns before keep working.
--
-- `last` is NULL if more than 5000 events are not projected: nothing is said then, because all of them might have to
-- be read.
--
-- `:"schema"` stands for the current schema: the function names it, because with a search_path one of its functions
-- could take the place of PostgreSQL's.
DROP FUNCTION find_lost_orders(uuid, bigint, integer);

DO $do$
DECLARE
    function CONSTANT text := $function$
CREATE FUNCTION :"schema".find_lost_orders(
    after uuid, low_water_mark bigint, most integer,
    OUT last uuid, OUT checked integer, OUT lost uuid[], OUT versions integer[]
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    -- By key, whatever the statistics say.
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    -- It would compile the two scans of small tables that have no alternative.
    SET jit = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    AS $$
DECLARE
    unprojected constant integer := 5000;
    behind      uuid[];
    stored      integer[];
BEGIN
    SELECT array_agg(page.order_id ORDER BY page.order_id) FILTER (
            WHERE summary.version IS NULL OR summary.version < page.version
        ),
        array_agg(page.version ORDER BY page.order_id) FILTER (
            WHERE summary.version IS NULL OR summary.version < page.version
        ),
        count(*),
        -- There is no max(uuid) before PostgreSQL 18.
        max(page.order_id::text COLLATE "C")::uuid
    INTO behind, stored, checked, last
    FROM (
        SELECT order_id, version FROM :"schema".orders WHERE order_id > after ORDER BY order_id LIMIT most
    ) AS page
    LEFT JOIN :"schema".order_summary AS summary USING (order_id);

    IF checked < most THEN
        last := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    END IF;

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
        SELECT array_agg(order_id ORDER BY order_id), array_agg(version ORDER BY order_id) INTO behind, stored
        FROM unnest(behind, stored) AS behind (order_id, version)
        WHERE NOT EXISTS (
            SELECT FROM (
                SELECT payload FROM :"schema".outbox WHERE id >= low_water_mark
                UNION ALL SELECT payload FROM :"schema".waiting_events
                UNION ALL SELECT payload FROM :"schema".parked_events
            ) AS on_its_way
            WHERE strpos(payload::text, order_id::text) > 0
        );
    END IF;

    SELECT array_agg(order_id ORDER BY order_id), array_agg(version ORDER BY order_id) INTO lost, versions
    FROM (
        SELECT order_id, version FROM unnest(behind, stored) AS behind (order_id, version)
        UNION ALL
        (
            SELECT summary.order_id, summary.version
            FROM :"schema".order_summary AS summary
            LEFT JOIN :"schema".orders USING (order_id)
            WHERE summary.order_id > after AND summary.order_id <= last
                AND (orders.version IS NULL OR orders.version < summary.version)
            LIMIT most
        )
    ) AS found;
    lost := coalesce(lost, '{}');
    versions := coalesce(versions, '{}');
END
$$;
$function$;
BEGIN
    EXECUTE replace(function, ':"schema"', quote_ident(current_schema()));
END
$do$;

REVOKE EXECUTE ON FUNCTION find_lost_orders(uuid, bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_lost_orders(uuid, bigint, integer) TO orders_projection;
