"""From purchase lines to vectors whose inner products recommend, and the proof that they do.

What belongs here: arrays in, arrays out, and the vector store that serves them. Reading the lake
and Dagster do not.

`training_set` and `purchases` hold what sold, `interactions` weighs it, `factorization` turns it
into vectors, `features` adds a prior for whom nobody knows, `model` recommends from the vectors.
`baselines` are what a model must beat, `metrics` count, `evaluation` splits by time and compares,
`gates` judge. `tables` are the vectors as tables of the lake, `edition` what of them is published,
`vector_store` where.
"""
