"""wrk and its library out of Debian's packages, unpacked without root; apt checks their signatures."""

import os
import shutil
import subprocess
from pathlib import Path

PACKAGES = ("wrk", "libluajit-5.1-2", "libluajit-5.1-common")


def provide(folder: Path) -> list[str] | None:
    """The command that runs wrk: the machine's own, or one unpacked into the folder; None where there is neither."""
    if found := shutil.which("wrk"):
        return [found]
    unpacked = folder / "unpacked"
    if not (unpacked / "usr/bin/wrk").exists():
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            return None
        print("fetching wrk from Debian", flush=True)
        try:
            _fetch(folder)
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"  no wrk: {error}", flush=True)
            return None
    libraries = next(iter(sorted((unpacked / "usr/lib").glob("*-linux-gnu"))))
    return ["env", f"LD_LIBRARY_PATH={libraries}", str(unpacked / "usr/bin/wrk")]


def _fetch(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for needed in ("state/lists/partial", "cache/archives/partial"):
        (folder / needed).mkdir(parents=True)
    options = [f"Dir::State={folder / 'state'}", f"Dir::Cache={folder / 'cache'}", "APT::Sandbox::User=root"]
    apt = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    # Of several sources one may be out of reach that these packages do not come from.
    _run([*apt, "update"], folder, check=False)
    _run([*apt, "download", *PACKAGES], folder)
    for package in folder.glob("*.deb"):
        _run(["dpkg-deb", "-x", str(package), str(folder / "unpacked.tmp")], folder)
    (folder / "unpacked.tmp").rename(folder / "unpacked")


def _run(command: list[str], folder: Path, check: bool = True) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=check)
