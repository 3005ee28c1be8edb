DROP TABLE revenue_by_month;
