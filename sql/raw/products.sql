SELECT
  p.productCode AS product_code,
  p.productName AS product_name,
  p.productLine AS product_line,
  p.productScale AS product_scale,
  p.productVendor AS product_vendor,
  p.productDescription AS product_description,
  p.quantityInStock AS quantity_in_stock,
  p.buyPrice AS buy_price,
  p.MSRP AS msrp
FROM products p
