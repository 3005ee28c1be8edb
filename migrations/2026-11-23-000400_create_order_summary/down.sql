DROP TABLE order_summary;
