"""Lines for the operator. In native tests they go to standard error."""

import sys

from wit_world.imports.log import Level, write


def debug(line: str) -> None:
    """Writes a line that matters to who looks for a fault."""
    _write(Level.DEBUG, line)


def info(line: str) -> None:
    """Writes a line that tells what was done."""
    _write(Level.INFO, line)


def warn(line: str) -> None:
    """Writes a line about something odd that was got over."""
    _write(Level.WARN, line)


def error(line: str) -> None:
    """Writes a line about something that went wrong."""
    _write(Level.ERROR, line)


def _write(level: Level, line: str) -> None:
    if sys.platform == "wasi":
        write(level, line)
    else:
        print(f"{level.name.lower()}: {line}", file=sys.stderr)
