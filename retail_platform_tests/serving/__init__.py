"""Serving: queries, analytics and how rows are printed."""
