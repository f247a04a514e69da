"""Brings archives from PyPI and npm by package name, through pip and npm, and checks their SHA-256."""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    registry: str  # "pypi" or "npm"
    name: str
    version: str
    sha256: str  # of the wheel or tarball


def unpack(package, cache, wanted=lambda member: True):
    """The folder that holds the package's wanted files; nothing of the package is run."""
    folder = cache / "unpacked" / f"{package.name.replace('/', '+')}-{package.version}"
    if not (folder / ".complete").exists():
        _extract(_download(package, cache / "archives"), folder, wanted)
        (folder / ".complete").touch()
    return folder


def file_sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(package, folder):
    folder.mkdir(parents=True, exist_ok=True)
    found = _with_sha256(folder, package.sha256)
    if not found:
        print(f"downloading {package.name} {package.version}", flush=True)
        subprocess.run(_command(package), cwd=folder, check=True, stdout=subprocess.DEVNULL)
        found = _with_sha256(folder, package.sha256)
    if not found:
        raise ValueError(f"{package.name} {package.version} does not have the expected sha256 {package.sha256}")
    return found


def _command(package):
    if package.registry == "pypi":
        return [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", f"{package.name}=={package.version}"]
    return ["npm", "pack", "--silent", f"{package.name}@{package.version}"]


def _with_sha256(folder, sha256):
    return next((path for path in sorted(folder.iterdir()) if file_sha256(path) == sha256), None)


def _extract(archive, folder, wanted):
    folder.mkdir(parents=True, exist_ok=True)
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(folder, [name for name in wheel.namelist() if wanted(name)])
    else:
        with tarfile.open(archive) as tarball:
            tarball.extractall(folder, [member for member in tarball if wanted(member.name)], filter="data")
