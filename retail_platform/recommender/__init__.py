"""From purchase lines to vectors whose inner products recommend, and the proof that they do.

What belongs here: arrays in, arrays out. Reading the lake, Dagster and publication do not.

`purchases` holds the lines, `interactions` weighs them, `factorization` turns them into vectors,
`model` recommends from the vectors. `baselines` are what a model must beat, `metrics` count,
`evaluation` splits by time and compares, `gates` judge.
"""
