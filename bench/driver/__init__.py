"""The driver: starts services, measures them in turn, writes tables and plots. Standard library only."""
