"""A data folder of Taja's with many products, made once and kept: each is a commit that reaches the disk."""

import json
import shutil
import subprocess
import time
from pathlib import Path

from driver.bench import Bench
from driver.processes import DriverFailure
from driver.services import Service
from service.words import picture_of, product_of
from setup.weights import NARROW_DIMENSION

DATABASE = "taja.db"
SPACE = "space"
BUILD = "cargo build --release --package taja-sqlite --example fill"


def available(bench: Bench, count: int) -> bool:
    """Whether there is a folder, or something to fill one with."""
    return (_kept(bench, count) / SPACE).exists() or bench.place.fill.exists()


def put(bench: Bench, count: int, service: Service) -> None:
    """Gives a service that was not started yet a folder of its own with so many products."""
    data = service.folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_provide(bench, count, space_of(bench, service)) / DATABASE, data / DATABASE)


def space_of(bench: Bench, service: Service) -> str:
    """The space of a service's model, as `taja model verify` tells it."""
    command = [str(bench.place.taja), "model", "verify"]
    told = subprocess.run(command, env=service.environment(), capture_output=True, text=True, check=False)
    return parse_space(told.stderr)


def parse_space(told: str) -> str:
    """The last word, which has the model's name before an `@`."""
    space = told.split()[-1] if told.strip() else ""
    if not all(space.partition("@")):
        raise DriverFailure(f"`taja model verify` tells no space: {told[-300:]!r}")
    return space


def line_of(number: int) -> str:
    """A product as the program that fills reads it."""
    told = {"id": f"{number:024x}", **product_of(number), "image_url": picture_of(number)[1], "picture": str(number)}
    return json.dumps(told) + "\n"


def _kept(bench: Bench, count: int) -> Path:
    return bench.place.cache / f"filled-{count}-taja"


def _provide(bench: Bench, count: int, space: str) -> Path:
    kept = _kept(bench, count)
    if (kept / SPACE).exists() and (kept / SPACE).read_text(encoding="utf-8") == space:
        return kept
    bench.say(f"filling a data folder with {count:,} products")
    shutil.rmtree(kept, ignore_errors=True)
    folder = bench.folder("filled")
    started = time.monotonic()
    _fill(bench, folder, space, count)
    bench.say(f"  {count / (time.monotonic() - started):.0f} products/s")
    shutil.move(folder, kept)
    (kept / SPACE).write_text(space, encoding="utf-8")
    return kept


def _fill(bench: Bench, folder: Path, space: str, count: int) -> None:
    vectors = bench.folder("vectors") / "vectors.f32"
    vectors.parent.mkdir()
    making = [str(bench.place.python), "-m", "service.vectors", str(count), str(NARROW_DIMENSION), str(vectors)]
    if subprocess.run(making, env=bench.place.environment(), check=False).returncode != 0:
        raise DriverFailure("vectors could not be made")
    command = [str(bench.place.fill), str(folder), space, str(NARROW_DIMENSION), str(vectors)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=bench.place.environment(), text=True) as filling:
        assert filling.stdin, "it was asked for"
        filling.stdin.writelines(map(line_of, range(count)))
        filling.stdin.close()
        if filling.wait() != 0:
            raise DriverFailure(f"{folder} could not be filled")
