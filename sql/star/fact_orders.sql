-- Every order line exactly once: the lines lead, and each join is on the key of what it joins.
SELECT
  cast(d.order_number AS int) AS order_number,
  cast(d.order_line_number AS int) AS order_line_number,
  cast(d.order_month AS date) AS order_month,
  cast(d.order_date AS date) AS order_date,
  cast(o.required_date AS date) AS required_date,
  cast(o.shipped_date AS date) AS shipped_date,
  cast(o.status AS string) AS status,
  cast(lower(trim(o.status)) NOT IN ('cancelled', 'disputed', 'on hold') AS boolean) AS is_sale,
  cast(o.comments AS string) AS comments,
  cast(o.customer_number AS int) AS customer_number,
  cast(d.product_code AS string) AS product_code,
  cast(c.location_key AS string) AS location_key,
  cast(c.sales_rep_employee_number AS int) AS sales_rep_employee_number,
  cast(d.quantity_ordered AS int) AS quantity_ordered,
  cast(d.price_each AS decimal(10,2)) AS price_each,
  cast(cast(d.quantity_ordered AS decimal(20,2)) * d.price_each AS decimal(20,2)) AS order_amount,
  cast(p.buy_price AS decimal(10,2)) AS buy_price,
  cast(p.msrp AS decimal(10,2)) AS msrp
FROM raw.order_details d
LEFT JOIN raw.orders o ON o.order_number = d.order_number
LEFT JOIN star.dim_customers c ON c.customer_number = o.customer_number
LEFT JOIN star.dim_products p ON p.product_code = d.product_code
