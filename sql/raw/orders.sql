SELECT
  o.orderNumber AS order_number,
  o.orderDate AS order_date,
  o.requiredDate AS required_date,
  o.shippedDate AS shipped_date,
  o.status AS status,
  o.comments AS comments,
  o.customerNumber AS customer_number
FROM orders o
