-- title: Visitors
-- description: Every customer, whom a visitor may be.
-- measure: credit_limit
SELECT c.customer_number, c.customer_name, l.city, l.country, c.credit_limit
FROM dim_customers c
LEFT JOIN dim_locations l ON l.location_key = c.location_key
WHERE c.is_current
