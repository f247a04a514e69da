"""Virtual environments from locks. One that is complete costs nothing; one that is not is made anew."""

import hashlib
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from setup import cuda_stubs

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"
PYTHON = (3, 11)
MACHINE = "x86_64"
STAMP = "complete"


class SetupFailure(Exception):
    """Something could not be brought; says what would help."""


def check_python() -> None:
    """The locks are for one Python and one kind of machine."""
    here = (sys.version_info[:2], platform.machine(), platform.system())
    if here != (PYTHON, MACHINE, "Linux"):
        wanted = ".".join(map(str, PYTHON))
        raise SetupFailure(
            f"the locks in bench/requirements are for CPython {wanted} on Linux, {MACHINE}:"
            f" name one in PYTHON, or write them anew with bench/setup/lock.py"
        )


def provide(name: str, folder: Path) -> Path:
    """The Python of a virtual environment that holds exactly what the lock of that name says."""
    lock = REQUIREMENTS / f"{name}.lock"
    key = hashlib.sha256(lock.read_bytes() + Path(cuda_stubs.__file__).read_bytes()).hexdigest()
    python = folder / "bin/python"
    stamp = folder / STAMP
    if python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == key:
        return python
    check_python()
    print(f"making the virtual environment `{name}` (several hundred megabytes)", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(folder)])
    options = ["--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-deps", "--require-hashes"]
    _run([str(python), "-m", "pip", "install", *options, "--only-binary=:all:", "--requirement", str(lock)])
    for torch in folder.glob("lib/python*/site-packages/torch/lib"):
        print(f"  {len(cuda_stubs.make(torch))} libraries of CUDA have stand-ins", flush=True)
    stamp.write_text(key, encoding="utf-8")
    return python


def versions(python: Path, names: list[str]) -> dict[str, str]:
    """The installed versions of packages."""
    code = f"import importlib.metadata as m\nfor n in {names!r}: print(n, m.version(n))"
    printed = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout
    return dict(line.split() for line in printed.splitlines())


def _run(command: list[str]) -> None:
    if subprocess.run(command, check=False).returncode != 0:
        raise SetupFailure(f"`{' '.join(command[:4])} ...` failed (its own words are above): check the network and the space left")
