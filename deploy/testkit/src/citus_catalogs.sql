-- Catalogs as Citus has them, for one schema on one of three nodes: of each, only what the product reads.
SET allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_schema (schemaid oid, colocationid integer);
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass, colocationid integer);
CREATE TABLE pg_catalog.pg_dist_shard (logicalrelid regclass, shardid bigint);
CREATE TABLE pg_catalog.pg_dist_placement (shardid bigint, groupid integer);
CREATE TABLE pg_catalog.pg_dist_local_group (groupid integer);
CREATE TABLE pg_catalog.pg_dist_node (
    nodeid integer, groupid integer, nodename text, nodeport integer, noderole text, isactive boolean,
    shouldhaveshards boolean
);
GRANT SELECT ON pg_dist_schema, pg_dist_partition, pg_dist_shard, pg_dist_placement, pg_dist_local_group, pg_dist_node
    TO PUBLIC;
-- Runs the command here for each node, where each connects from an address of its own.
CREATE FUNCTION pg_catalog.run_command_on_all_nodes(
    command text, OUT nodeid integer, OUT success boolean, OUT result text
) RETURNS SETOF record
    LANGUAGE plpgsql
    AS $$
BEGIN
    FOR nodeid IN SELECT node.nodeid FROM pg_dist_node AS node ORDER BY nodeid LOOP
        BEGIN
            success := true;
            IF command LIKE 'GRANT %' THEN
                result := 'GRANT';
                EXECUTE command;
            ELSE
                EXECUTE replace(command, 'inet_client_addr()', format('address_of_node(%s)', nodeid)) INTO result;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            success := false;
            result := 'ERROR:  ' || SQLERRM;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
CREATE FUNCTION pg_catalog.address_of_node(nodeid integer) RETURNS inet
    LANGUAGE sql RETURN inet '10.0.0.0' + nodeid;
RESET allow_system_table_mods;

INSERT INTO pg_dist_node VALUES
    (1, 0, 'node-0.example', 5432, 'primary', true, false), (2, 1, 'node-1.example', 5432, 'primary', true, true),
    (3, 2, 'node-2.example', 5432, 'primary', true, true);
INSERT INTO pg_dist_local_group VALUES (1);
INSERT INTO pg_dist_schema VALUES ('public'::regnamespace, 1);
INSERT INTO pg_dist_partition VALUES ('orders', 1), ('outbox', 1);
INSERT INTO pg_dist_shard VALUES ('orders', 102008), ('outbox', 102009);
INSERT INTO pg_dist_placement VALUES (102008, 1), (102009, 1);
