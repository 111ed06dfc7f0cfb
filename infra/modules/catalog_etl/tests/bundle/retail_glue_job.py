"""Stands for the script of `make glue-bundle`."""
