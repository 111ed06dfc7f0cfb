SELECT
  cast(customer_number AS int) AS customer_number,
  cast(check_number AS string) AS check_number,
  cast(payment_month AS date) AS payment_month,
  cast(payment_date AS date) AS payment_date,
  cast(amount AS decimal(20,2)) AS amount
FROM raw.payments
