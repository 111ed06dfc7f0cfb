-- title: Top products
-- description: The products with the highest sales; equal sales rank by product code.
-- measure: sales
-- parameter: n integer = 10 - How many products
-- parameter: country string - Only customers of this country
-- parameter: product_line string - Only products of this line
-- parameter: date_from date - Only orders from this day on
-- parameter: date_to date - Only orders up to and including this day
-- Grouped by the code alone and named afterwards: names in the key double the time of counting orders.
WITH sold AS (
  SELECT
    f.product_code,
    count(DISTINCT f.order_number) AS orders,
    CAST(sum(f.quantity_ordered) AS bigint) AS quantity,
    CAST(sum(f.order_amount) AS decimal(20, 2)) AS sales
  FROM fact_orders f
  LEFT JOIN dim_locations l ON l.location_key = f.location_key
  LEFT JOIN dim_products p ON p.product_code = f.product_code
  WHERE f.is_sale
    AND (:country IS NULL OR l.country = :country)
    AND (:product_line IS NULL OR p.product_line = :product_line)
    AND (:date_from IS NULL OR f.order_date >= :date_from)
    AND (:date_to IS NULL OR f.order_date <= :date_to)
  GROUP BY f.product_code
),
products AS (
  SELECT s.product_code, p.product_name, p.product_line, s.orders, s.quantity, s.sales
  FROM sold s
  LEFT JOIN dim_products p ON p.product_code = s.product_code
),
ranked AS (
  SELECT
    row_number() OVER (ORDER BY sales DESC, product_code) AS place,
    products.*
  FROM products
)
SELECT
  CAST(place AS integer) AS place,
  product_code,
  product_name,
  product_line,
  orders,
  quantity,
  sales
FROM ranked
WHERE place <= :n
ORDER BY place
