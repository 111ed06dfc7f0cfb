-- title: Sales growth
-- description: Sales of each whole month against the calendar month before it.
-- measure: growth_percent
-- parameter: country string - Only customers of this country
-- parameter: product_line string - Only products of this line
-- parameter: date_from date - Only months from this day's month on
-- parameter: date_to date - Only months up to this day's month
WITH months AS (
  SELECT f.order_month AS month, sum(f.order_amount) AS sales
  FROM fact_orders f
  LEFT JOIN dim_locations l ON l.location_key = f.location_key
  LEFT JOIN dim_products p ON p.product_code = f.product_code
  WHERE f.is_sale
    AND (:country IS NULL OR l.country = :country)
    AND (:product_line IS NULL OR p.product_line = :product_line)
  GROUP BY f.order_month
),
calendar AS (
  SELECT DISTINCT month_start
  FROM dim_dates
  WHERE month_start BETWEEN (SELECT min(month) FROM months) AND (SELECT max(month) FROM months)
),
every_month AS (
  SELECT c.month_start AS month, CAST(coalesce(m.sales, 0) AS decimal(20, 2)) AS sales
  FROM calendar c
  LEFT JOIN months m ON m.month = c.month_start
),
compared AS (
  SELECT month, sales, lag(sales) OVER (ORDER BY month) AS previous_sales
  FROM every_month
)
SELECT
  month,
  sales,
  previous_sales,
  CAST(sales - previous_sales AS decimal(20, 2)) AS change,
  CAST(sales - previous_sales AS double)
    / CAST(NULLIF(previous_sales, 0) AS double) * 100 AS growth_percent
FROM compared
WHERE (:date_from IS NULL OR month >= CAST(date_trunc('month', :date_from) AS date))
  AND (:date_to IS NULL OR month <= :date_to)
ORDER BY month
