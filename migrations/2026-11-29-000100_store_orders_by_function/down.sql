DROP FUNCTION save_batch_1;
