SELECT
  cast(c.customer_number AS int) AS customer_number,
  cast(c.customer_name AS string) AS customer_name,
  cast(c.contact_last_name AS string) AS contact_last_name,
  cast(c.contact_first_name AS string) AS contact_first_name,
  cast(c.phone AS string) AS phone,
  cast(c.address_line1 AS string) AS address_line1,
  cast(c.address_line2 AS string) AS address_line2,
  cast(c.credit_limit AS decimal(10,2)) AS credit_limit,
  cast(l.location_key AS string) AS location_key,
  cast(c.sales_rep_employee_number AS int) AS sales_rep_employee_number,
  cast(true AS boolean) AS is_current
FROM raw.customers c
LEFT JOIN star.dim_locations l
  ON coalesce(l.country, '') = coalesce(trim(c.country), '')
  AND coalesce(l.state, '') = coalesce(trim(c.state), '')
  AND coalesce(l.city, '') = coalesce(trim(c.city), '')
  AND coalesce(l.postal_code, '') = coalesce(trim(c.postal_code), '')
UNION ALL
SELECT
  gone.customer_number,
  gone.customer_name,
  gone.contact_last_name,
  gone.contact_first_name,
  gone.phone,
  gone.address_line1,
  gone.address_line2,
  gone.credit_limit,
  gone.location_key,
  gone.sales_rep_employee_number,
  cast(false AS boolean) AS is_current
FROM star.dim_customers gone
LEFT ANTI JOIN raw.customers c ON c.customer_number = gone.customer_number
