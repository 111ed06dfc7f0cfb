"""A Dagster asset-based lakehouse for retailers."""
