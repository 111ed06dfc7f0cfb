"""Exports of tables that arrive as files: read, checked, and merged into the raw layer."""
