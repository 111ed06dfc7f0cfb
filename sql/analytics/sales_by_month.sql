-- title: Sales by month
-- description: When customers buy: orders that count as sales, by month; a month without sales is 0.
-- measure: sales
-- parameter: country string - Only customers of this country
-- parameter: product_line string - Only products of this line
-- parameter: date_from date - Only orders from this day on
-- parameter: date_to date - Only orders up to and including this day
WITH months AS (
  SELECT
    f.order_month AS month,
    count(DISTINCT f.customer_number) AS customers,
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
  GROUP BY f.order_month
),
calendar AS (
  SELECT DISTINCT month_start
  FROM dim_dates
  WHERE month_start BETWEEN (SELECT min(month) FROM months) AND (SELECT max(month) FROM months)
)
SELECT
  c.month_start AS month,
  coalesce(m.customers, 0) AS customers,
  coalesce(m.orders, 0) AS orders,
  coalesce(m.quantity, 0) AS quantity,
  CAST(coalesce(m.sales, 0) AS decimal(20, 2)) AS sales
FROM calendar c
LEFT JOIN months m ON m.month = c.month_start
ORDER BY month
