SELECT
  cast(p.product_code AS string) AS product_code,
  cast(p.product_name AS string) AS product_name,
  cast(p.product_line AS string) AS product_line,
  cast(p.product_scale AS string) AS product_scale,
  cast(p.product_vendor AS string) AS product_vendor,
  cast(p.product_description AS string) AS product_description,
  cast(l.text_description AS string) AS product_line_description,
  cast(p.quantity_in_stock AS int) AS quantity_in_stock,
  cast(p.buy_price AS decimal(10,2)) AS buy_price,
  cast(p.msrp AS decimal(10,2)) AS msrp,
  cast(true AS boolean) AS is_current
FROM raw.products p
LEFT JOIN raw.product_lines l ON l.product_line = p.product_line
UNION ALL
SELECT
  gone.product_code,
  gone.product_name,
  gone.product_line,
  gone.product_scale,
  gone.product_vendor,
  gone.product_description,
  gone.product_line_description,
  gone.quantity_in_stock,
  gone.buy_price,
  gone.msrp,
  cast(false AS boolean) AS is_current
FROM star.dim_products gone
LEFT ANTI JOIN raw.products p ON p.product_code = gone.product_code
