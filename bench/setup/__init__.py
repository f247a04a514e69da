"""Brings what the measurements need: virtual environments, wrk, weights."""
