-- rows_tried
SELECT
    pg_stat_get_xact_tuples_inserted('order_summary'::regclass)
    + pg_stat_get_xact_tuples_updated('order_summary'::regclass)
