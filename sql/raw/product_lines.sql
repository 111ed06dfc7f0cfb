SELECT
  l.productLine AS product_line,
  l.textDescription AS text_description,
  l.htmlDescription AS html_description,
  l.image AS image
FROM productlines l
