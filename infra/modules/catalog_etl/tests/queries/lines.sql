SELECT count(*) AS lines FROM "${database_prefix}star"."fact_orders"
