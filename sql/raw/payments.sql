SELECT
  p.customerNumber AS customer_number,
  p.checkNumber AS check_number,
  p.paymentDate AS payment_date,
  p.amount AS amount
FROM payments p
