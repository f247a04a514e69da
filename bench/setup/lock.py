"""Writes the locks anew: every wheel that pip would take today, by version and SHA-256, for this Python and machine.

    python3 bench/setup/lock.py
"""

import json
import platform
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"
HEADER = "# Written by setup/lock.py for CPython {version} on Linux, {machine}; install with --require-hashes --no-deps.\n"
LOCKS = {"python": ("python.in", "python-bare.in"), "openvino": ("openvino.in",)}


def resolve(source: Path) -> dict[str, tuple[str, str]]:
    """What pip would install, version and SHA-256 by name."""
    options = ["--dry-run", "--ignore-installed", "--quiet", "--only-binary=:all:", "--report", "-"]
    if "bare" in source.name:
        options.append("--no-deps")
    command = [sys.executable, "-m", "pip", "install", *options, "--requirement", str(source)]
    report = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    found = {}
    for item in report["install"]:
        sha256 = item["download_info"]["archive_info"]["hashes"]["sha256"]
        found[item["metadata"]["name"].lower().replace("_", "-")] = (item["metadata"]["version"], sha256)
    return found


def lock_text(found: dict[str, tuple[str, str]], version: str, machine: str) -> str:
    """A lock."""
    lines = [f"{name}=={one} \\\n    --hash=sha256:{sha256}\n" for name, (one, sha256) in sorted(found.items())]
    return HEADER.format(version=version, machine=machine) + "".join(lines)


def main() -> None:
    version = ".".join(map(str, sys.version_info[:2]))
    for name, sources in LOCKS.items():
        found: dict[str, tuple[str, str]] = {}
        for source in sources:
            found = resolve(REQUIREMENTS / source) | found
        (REQUIREMENTS / f"{name}.lock").write_text(lock_text(found, version, platform.machine()), encoding="utf-8")
        print(f"{name}: {len(found)} wheels")


if __name__ == "__main__":
    main()
