"""Tables as data: contracts read from `sql/**/schema.yml`, and lineage. No Dagster here."""
