-- The tables of one version, before they are loaded; indexes follow when they are full.
CREATE TABLE recommender.products_{version} (
  product_code text NOT NULL,
  product_name text,
  product_line text,
  quantity_in_stock integer,
  recent_buyers integer NOT NULL,
  context halfvec(65) NOT NULL,
  target halfvec(65) NOT NULL,
  session_context halfvec(65) NOT NULL,
  session_target halfvec(65) NOT NULL
);
CREATE TABLE recommender.customers_{version} (
  customer_number bigint NOT NULL,
  vector halfvec(65) NOT NULL,
  session_vector halfvec(65) NOT NULL
);
CREATE TABLE recommender.purchases_{version} (
  customer_number bigint NOT NULL,
  product_code text NOT NULL,
  weight real NOT NULL,
  habit real NOT NULL
);
CREATE TABLE recommender.similar_products_{version} (
  product_code text NOT NULL,
  similar_product_code text NOT NULL,
  rank integer NOT NULL,
  score real NOT NULL
);
CREATE TABLE recommender.features_{version} (
  feature text NOT NULL,
  value text NOT NULL,
  vector halfvec(65) NOT NULL
);
