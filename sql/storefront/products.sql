-- title: Products on sale
-- description: What the storefront offers.
-- measure: msrp
SELECT
  p.product_code,
  p.product_name,
  p.product_line,
  p.product_scale,
  p.product_vendor,
  p.product_description,
  p.quantity_in_stock,
  p.msrp
FROM dim_products p
WHERE p.is_current AND p.msrp IS NOT NULL
ORDER BY p.product_name, p.product_code
