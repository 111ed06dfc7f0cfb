-- What each customer bought of each product, before a day: the evaluation puts its own in as_of.
WITH as_of AS (SELECT cast('9999-12-31' AS date) AS day),
bought AS (
  SELECT
    o.customer_number,
    o.product_code,
    count(DISTINCT o.order_number) AS orders,
    sum(o.quantity_ordered) AS quantity,
    sum(o.order_amount) AS amount,
    min(o.order_date) AS first_order_date,
    max(o.order_date) AS last_order_date
  FROM star.fact_orders o
  CROSS JOIN as_of
  WHERE o.is_sale
    AND o.order_date < as_of.day
    AND o.customer_number IS NOT NULL -- a guest has no history
  GROUP BY o.customer_number, o.product_code
)
SELECT
  cast(b.customer_number AS int) AS customer_number,
  cast(b.product_code AS string) AS product_code,
  cast(b.orders AS int) AS orders,
  cast(b.quantity AS bigint) AS quantity,
  cast(b.amount AS decimal(20,2)) AS amount,
  cast(b.first_order_date AS date) AS first_order_date,
  cast(b.last_order_date AS date) AS last_order_date,
  cast(r.product_rating AS int) AS rating,
  cast(l.city AS string) AS city,
  cast(l.state AS string) AS state,
  cast(l.postal_code AS string) AS postal_code,
  cast(l.country AS string) AS country,
  cast(c.credit_limit AS decimal(10,2)) AS credit_limit,
  cast(p.product_line AS string) AS product_line,
  cast(p.product_scale AS string) AS product_scale,
  cast(p.quantity_in_stock AS int) AS quantity_in_stock,
  cast(p.buy_price AS decimal(10,2)) AS buy_price,
  cast(p.msrp AS decimal(10,2)) AS msrp
FROM bought b
LEFT JOIN star.dim_customers c ON c.customer_number = b.customer_number
LEFT JOIN star.dim_locations l ON l.location_key = c.location_key
LEFT JOIN star.dim_products p ON p.product_code = b.product_code
LEFT JOIN raw.ratings r
  ON r.customer_number = b.customer_number AND r.product_code = b.product_code
