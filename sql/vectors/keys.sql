-- The keys of a version's tables, when they are full.
ALTER TABLE recommender.products_{version} ADD PRIMARY KEY (product_code);
ALTER TABLE recommender.customers_{version} ADD PRIMARY KEY (customer_number);
ALTER TABLE recommender.purchases_{version} ADD PRIMARY KEY (customer_number, product_code);
ALTER TABLE recommender.similar_products_{version} ADD PRIMARY KEY (product_code, rank);
ALTER TABLE recommender.features_{version} ADD PRIMARY KEY (feature, value);
CREATE INDEX ON recommender.products_{version} (recent_buyers DESC, product_code);
