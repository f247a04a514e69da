"""Scenarios by name. Each answers rows of the table of services."""
