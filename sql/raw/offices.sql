SELECT
  o.officeCode AS office_code,
  o.city AS city,
  o.phone AS phone,
  o.addressLine1 AS address_line1,
  o.addressLine2 AS address_line2,
  o.state AS state,
  o.country AS country,
  o.postalCode AS postal_code,
  o.territory AS territory
FROM offices o
