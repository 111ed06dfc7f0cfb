"""Starts and stops what a laptop lacks: a PostgreSQL with pgvector."""
