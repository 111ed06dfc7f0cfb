-- title: Customers
-- description: Whom a visitor may be, by a part of the name; the first twenty.
-- measure: credit_limit
-- parameter: name string - A part of the name
SELECT c.customer_number, c.customer_name, l.city, l.country, c.credit_limit
FROM dim_customers c
LEFT JOIN dim_locations l ON l.location_key = c.location_key
WHERE c.is_current
  AND (:name IS NULL OR strpos(lower(c.customer_name), lower(:name)) > 0)
ORDER BY c.customer_name, c.customer_number
LIMIT 20
