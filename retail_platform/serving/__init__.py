"""Answers SQL over the published snapshots; the questions people ask are in `sql/analytics`."""
