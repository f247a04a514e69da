"""Reads TOML on every Python from 3.8 on: 3.11 has a reader, older ones have pip's own copy of one."""

from failure import SetupFailure


def read_toml(path):
    text = path.read_text(encoding="utf-8")
    return _parser()(text)


def _parser():
    try:
        from tomllib import loads
    except ImportError:
        try:
            from pip._vendor.tomli import loads
        except ImportError:
            try:
                from pip._vendor.toml import loads
            except ImportError:
                raise SetupFailure(
                    "this Python reads no TOML: it is older than 3.11 and has no pip",
                    "install Python 3.11 or newer, or pip (Debian: apt install python3-pip)",
                ) from None
    return loads
