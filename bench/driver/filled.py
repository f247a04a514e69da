"""A MongoDB folder with many products for both services, made once and kept: filling takes minutes."""

import shutil
import subprocess
import time
from pathlib import Path

from driver.bench import Bench
from driver.processes import DriverFailure
from driver.services import TajaShared
from setup.weights import NARROW, NARROW_DIMENSION, manifest_name

PYTHON_DATABASE = "filled_python"
TAJA_DATABASE = "filled_taja"


def provide(bench: Bench, count: int) -> Path:
    """The folder; both services find their own database in it."""
    kept = bench.place.cache / f"filled-{count}"
    if (kept / "port").exists():
        return kept
    bench.say(f"filling two databases with {count:,} products")
    with bench.backends() as backends:
        for database in (PYTHON_DATABASE, TAJA_DATABASE):
            started = time.monotonic()
            _fill(bench, backends.mongo_uri, database, count)
            bench.say(f"  {database}: {time.monotonic() - started:.0f} s")
        started = time.monotonic()
        _migrate(bench, backends)
        bench.say(f"  taja migrate: {count / (time.monotonic() - started):.0f} products/s")
        port = backends.mongo_port
    shutil.rmtree(kept, ignore_errors=True)
    shutil.move(backends.folder / "mongo", kept)
    (kept / "port").write_text(str(port), encoding="utf-8")
    return kept


def _fill(bench: Bench, uri: str, database: str, count: int) -> None:
    command = [str(bench.place.python), "-m", "service.fill", str(count), str(NARROW_DIMENSION)]
    environment = bench.place.environment(MONGO_URI=uri, MONGO_DB=database)
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        raise DriverFailure(f"{database} could not be filled")


def _migrate(bench: Bench, backends) -> None:
    """Taja takes over what the older service wrote, vectors included: no picture is embedded again."""
    taja = TajaShared(bench.place, bench.folder("migrate"), NARROW, backends, TAJA_DATABASE)
    environment = taja.environment() | {"CLIP_MODEL_NAME": manifest_name(bench.place, NARROW)}
    ended = subprocess.run(
        [str(bench.place.taja), "migrate", "--json"], env=environment, cwd=taja.folder, capture_output=True, text=True, check=False
    )
    if ended.returncode != 0:
        raise DriverFailure(f"`taja migrate` failed: {ended.stderr[-500:]}")
