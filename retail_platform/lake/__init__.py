"""The Iceberg lake: catalog, one-snapshot commits, scans and vacuum. No Dagster here."""
