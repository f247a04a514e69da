"""Writes bodies that schemathesis knows no form of; it reads this file because `http.py` names it."""

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(_context, value):
    """The text itself, or whatever else was made up in its place."""
    return (value if isinstance(value, str) else repr(value)).encode(errors="surrogatepass")
