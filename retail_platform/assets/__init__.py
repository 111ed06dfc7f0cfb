"""Dagster assets and checks, derived from the contracts."""
