-- Which node has the tables of the schema. Elsewhere the statements of the processes work, but their answers are wrong:
-- ids of transactions and snapshots are those of different servers. DDL goes to the coordinator.
WITH owner AS (
    SELECT DISTINCT groupid,
        format(CASE WHEN nodename ~ ':' THEN '[%s]:%s' ELSE '%s:%s' END, nodename, nodeport) AS address
    FROM pg_dist_schema
    JOIN pg_dist_partition USING (colocationid)
    JOIN pg_dist_shard USING (logicalrelid)
    JOIN pg_dist_placement USING (shardid)
    JOIN pg_dist_node USING (groupid)
    WHERE schemaid = quote_ident(current_schema())::regnamespace AND noderole = 'primary'
)
SELECT 'hint' AS level,
    format('%s owns the schema %I; this is the coordinator, which is for migrations only', address, current_schema())
        AS finding,
    format('Let DATABASE_URL of the processes name %s.', address) AS remedy
FROM owner CROSS JOIN pg_dist_local_group AS here
WHERE owner.groupid <> here.groupid AND here.groupid = 0
UNION ALL
SELECT 'error',
    format('this node does not own the schema %I: processes that use it get wrong answers', current_schema()),
    format('Let DATABASE_URL of the processes name %s, which owns it.', address)
FROM owner CROSS JOIN pg_dist_local_group AS here
WHERE owner.groupid <> here.groupid AND here.groupid <> 0
