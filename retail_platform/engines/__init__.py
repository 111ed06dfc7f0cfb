"""Engines turn files into files and audit what they wrote. No catalog and no Dagster here."""
