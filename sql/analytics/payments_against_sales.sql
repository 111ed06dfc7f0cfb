-- title: Payments against sales
-- description: What each customer bought and paid; the balance is sales less payments.
-- measure: balance
-- parameter: country string - Only customers of this country
-- parameter: date_from date - Only orders and payments from this day on
-- parameter: date_to date - Only orders and payments up to and including this day
WITH sales AS (
  SELECT customer_number, sum(order_amount) AS sales
  FROM fact_orders
  WHERE is_sale
    AND (:date_from IS NULL OR order_date >= :date_from)
    AND (:date_to IS NULL OR order_date <= :date_to)
  GROUP BY customer_number
),
payments AS (
  SELECT customer_number, sum(amount) AS payments
  FROM fact_payments
  WHERE (:date_from IS NULL OR payment_date >= :date_from)
    AND (:date_to IS NULL OR payment_date <= :date_to)
  GROUP BY customer_number
),
accounts AS (
  SELECT
    coalesce(s.customer_number, p.customer_number) AS customer_number,
    CAST(coalesce(s.sales, 0) AS decimal(20, 2)) AS sales,
    CAST(coalesce(p.payments, 0) AS decimal(20, 2)) AS payments
  FROM sales s
  FULL OUTER JOIN payments p ON p.customer_number = s.customer_number
)
SELECT
  a.customer_number,
  c.customer_name,
  l.country,
  a.sales,
  a.payments,
  CAST(a.sales - a.payments AS decimal(20, 2)) AS balance,
  CAST(a.payments AS double) / CAST(NULLIF(a.sales, 0) AS double) * 100 AS paid_percent,
  c.credit_limit
FROM accounts a
LEFT JOIN dim_customers c ON c.customer_number = a.customer_number
LEFT JOIN dim_locations l ON l.location_key = c.location_key
WHERE :country IS NULL OR l.country = :country
ORDER BY balance DESC, a.customer_number
