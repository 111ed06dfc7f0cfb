-- Whole years around everything that was ordered or paid. Weekdays count from a known Monday,
-- because the engines number them differently.
WITH months AS (
  SELECT order_month AS month FROM raw.orders
  UNION ALL
  SELECT payment_month AS month FROM raw.payments
),
span AS (
  SELECT
    cast(date_trunc('year', min(month)) AS date) AS first_day,
    cast(add_months(cast(date_trunc('year', max(month)) AS date), 24) AS date) AS end_day
  FROM months
),
days AS (
  SELECT explode(sequence(first_day, end_day, interval 1 day)) AS day
  FROM span
)
SELECT
  cast(day AS date) AS date,
  cast(year(day) AS int) AS year,
  cast(quarter(day) AS int) AS quarter,
  cast(month(day) AS int) AS month,
  cast(date_trunc('month', day) AS date) AS month_start,
  cast(day(day) AS int) AS day,
  cast(mod(datediff(day, date '1900-01-01'), 7) + 1 AS int) AS day_of_week,
  cast(mod(datediff(day, date '1900-01-01'), 7) >= 5 AS boolean) AS is_weekend
FROM days
WHERE day < (SELECT end_day FROM span)
