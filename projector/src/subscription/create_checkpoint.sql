-- create_checkpoint
-- The first checkpoint of a subscription. Its generation is above those of a removed subscription of this name, whose
-- entries may still be there: each move had an xid.
INSERT INTO subscription_checkpoints (subscription, generation, checkpoint, history)
VALUES ($1, pg_current_xact_id()::text::bigint, $2, $3)
