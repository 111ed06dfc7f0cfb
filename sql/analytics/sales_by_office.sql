-- title: Sales by office
-- description: Which office sells: orders that count as sales, by the representative's office.
-- measure: sales
-- parameter: country string - Only customers of this country
-- parameter: product_line string - Only products of this line
-- parameter: date_from date - Only orders from this day on
-- parameter: date_to date - Only orders up to and including this day
-- Lines are summed to orders first: counting distinct orders of lines takes twice as long.
WITH by_order AS (
  SELECT
    f.sales_rep_employee_number,
    f.customer_number,
    f.order_number,
    sum(f.order_amount) AS order_amount
  FROM fact_orders f
  LEFT JOIN dim_locations l ON l.location_key = f.location_key
  LEFT JOIN dim_products p ON p.product_code = f.product_code
  WHERE f.is_sale
    AND (:country IS NULL OR l.country = :country)
    AND (:product_line IS NULL OR p.product_line = :product_line)
    AND (:date_from IS NULL OR f.order_date >= :date_from)
    AND (:date_to IS NULL OR f.order_date <= :date_to)
  GROUP BY f.sales_rep_employee_number, f.customer_number, f.order_number
)
SELECT
  e.office_code,
  coalesce(e.office_city, 'No office') AS office_city,
  e.office_country,
  count(DISTINCT f.sales_rep_employee_number) AS representatives,
  count(DISTINCT f.customer_number) AS customers,
  count(DISTINCT f.order_number) AS orders,
  CAST(sum(f.order_amount) AS decimal(20, 2)) AS sales,
  CAST(sum(f.order_amount) AS double)
    / CAST(NULLIF(sum(sum(f.order_amount)) OVER (), 0) AS double) * 100 AS sales_percent
FROM by_order f
LEFT JOIN dim_employees e ON e.employee_number = f.sales_rep_employee_number
GROUP BY e.office_code, e.office_city, e.office_country
ORDER BY sales DESC, office_code
