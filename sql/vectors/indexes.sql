-- What finds the nearest products where there are too many to compare with all: an index for each of
-- the two artefacts, customers' and sessions', whose vectors are never compared with the other's.
CREATE INDEX ON recommender.products_{version} USING hnsw (target halfvec_ip_ops) WITH (m = 16, ef_construction = 64);
CREATE INDEX ON recommender.products_{version} USING hnsw (session_target halfvec_ip_ops) WITH (m = 16, ef_construction = 64);
