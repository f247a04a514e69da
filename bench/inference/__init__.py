"""JPEG bytes to vectors by other runtimes; run inside the virtual environments."""
