-- move_checkpoints
-- Replaces checkpoints by those of the next generation. One whose generation is not there any more is not replaced.
WITH removed AS (
    DELETE FROM subscription_checkpoints
    USING (
        SELECT t.subscription, t.generation, t.checkpoint, known.ctid
        FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS t (subscription, generation, checkpoint)
        -- LIMIT 1 keeps this a search in the index, also in a plan that was made while the table was empty.
        CROSS JOIN LATERAL (
            SELECT ctid
            FROM subscription_checkpoints AS of_generation
            WHERE subscription = t.subscription AND generation = t.generation
            ORDER BY generation DESC
            LIMIT 1
        ) AS known
    ) AS moved
    WHERE subscription_checkpoints.ctid = moved.ctid
    RETURNING moved.subscription, moved.generation, moved.checkpoint
)
INSERT INTO subscription_checkpoints (subscription, generation, checkpoint, history)
SELECT subscription, generation + 1, checkpoint, (SELECT $4::bigint)
FROM removed
