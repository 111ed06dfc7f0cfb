SELECT
  c.customerNumber AS customer_number,
  c.customerName AS customer_name,
  c.contactLastName AS contact_last_name,
  c.contactFirstName AS contact_first_name,
  c.phone AS phone,
  c.addressLine1 AS address_line1,
  c.addressLine2 AS address_line2,
  c.city AS city,
  c.state AS state,
  c.postalCode AS postal_code,
  c.country AS country,
  c.salesRepEmployeeNumber AS sales_rep_employee_number,
  c.creditLimit AS credit_limit
FROM customers c
