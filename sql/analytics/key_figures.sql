-- title: Key figures
-- description: Orders that count as sales: how many, what they came to, and what is left of it once the goods are paid.
-- measure: sales
-- parameter: country string - Only customers of this country
-- parameter: product_line string - Only products of this line
-- parameter: date_from date - Only orders from this day on
-- parameter: date_to date - Only orders up to and including this day
SELECT
  CAST(coalesce(sum(f.order_amount), 0) AS decimal(20, 2)) AS sales,
  count(DISTINCT f.order_number) AS orders,
  CAST(
    CAST(sum(f.order_amount) AS double) / CAST(NULLIF(count(DISTINCT f.order_number), 0) AS double)
    AS decimal(20, 2)
  ) AS average_order_value,
  count(DISTINCT f.customer_number) AS customers,
  CAST(coalesce(sum(f.order_amount - f.quantity_ordered * f.buy_price), 0) AS decimal(20, 2)) AS margin,
  CAST(sum(f.order_amount - f.quantity_ordered * f.buy_price) AS double)
    / CAST(NULLIF(sum(CASE WHEN f.buy_price IS NOT NULL THEN f.order_amount END), 0) AS double) * 100
    AS margin_percent
FROM fact_orders f
LEFT JOIN dim_locations l ON l.location_key = f.location_key
LEFT JOIN dim_products p ON p.product_code = f.product_code
WHERE f.is_sale
  AND (:country IS NULL OR l.country = :country)
  AND (:product_line IS NULL OR p.product_line = :product_line)
  AND (:date_from IS NULL OR f.order_date >= :date_from)
  AND (:date_to IS NULL OR f.order_date <= :date_to)
HAVING count(*) > 0
