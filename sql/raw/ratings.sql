SELECT
  r.customerNumber AS customer_number,
  r.productCode AS product_code,
  r.productRating AS product_rating
FROM ratings r
