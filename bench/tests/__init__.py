"""Run with `python3 -m unittest discover --start-directory bench --top-level-directory bench`."""
