"""The comparison of vector indexes, where `bench/vectors` is: Taja's own bench writes the vectors, the peers read them."""

import shutil
import subprocess
import sys

from driver.bench import Bench
from driver.place import BENCH, ROOT
from driver.processes import DriverFailure

SCRIPT = BENCH / "vectors/peers.py"
REQUIREMENTS = BENCH / "vectors/requirements.txt"


def run(bench: Bench) -> None:
    """Prints what the two find."""
    if not SCRIPT.exists():
        print("vectors: bench/vectors/peers.py is not there, not measured", flush=True)
        return
    count = bench.pick(100_000, 20_000)
    folder = bench.place.cache / f"vectors-{count}"
    if not folder.exists():
        _write(folder, count)
    python = bench.place.cache / "vectors/bin/python"
    if not python.exists():
        _check([sys.executable, "-m", "venv", str(python.parents[1])])
        options = ["--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
        _check([str(python), "-m", "pip", "install", *options, "--requirement", str(REQUIREMENTS)])
    bench.settle()
    _check([str(python), str(SCRIPT), str(folder)])


def _write(folder, count: int) -> None:
    """Taja's own figures come with the vectors, of the same run."""
    written = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir(parents=True)
    cargo = ["cargo", "bench", "--quiet", "--package", "taja-vectors", "--bench", "index", "--"]
    _check([*cargo, str(count), f"write={written}"])
    written.rename(folder)


def _check(command: list[str]) -> None:
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise DriverFailure(f"`{' '.join(command[:4])} ...` failed (its own words are above)")
