-- An outer join: a line whose order is missing goes to quarantine instead of getting lost.
SELECT
  d.orderNumber AS order_number,
  d.productCode AS product_code,
  d.quantityOrdered AS quantity_ordered,
  d.priceEach AS price_each,
  d.orderLineNumber AS order_line_number,
  o.orderDate AS order_date,
  CASE WHEN o.orderNumber IS NULL THEN 'no such order' END AS quarantine_reason
FROM orderdetails d
LEFT JOIN orders o ON o.orderNumber = d.orderNumber
