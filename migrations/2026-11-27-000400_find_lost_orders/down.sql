DROP FUNCTION find_lost_orders(uuid, bigint, integer);
