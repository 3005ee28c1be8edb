-- owner_elsewhere
-- The address of the node of Citus that owns the current schema, unless this is the one.
SELECT (
    SELECT format(CASE WHEN nodename ~ ':' THEN '[%s]:%s' ELSE '%s:%s' END, nodename, nodeport)
    FROM pg_dist_schema
    JOIN pg_dist_partition USING (colocationid)
    JOIN pg_dist_shard USING (logicalrelid)
    JOIN pg_dist_placement USING (shardid)
    JOIN pg_dist_node USING (groupid)
    WHERE schemaid = quote_ident(current_schema())::regnamespace AND noderole = 'primary'
        AND groupid <> (SELECT groupid FROM pg_dist_local_group)
    LIMIT 1
)
