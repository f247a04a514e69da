"""Brings programs out of packages of the machine's own Debian, unpacked without root. apt checks their signature."""

import shutil
import subprocess

from failure import SetupFailure

SECONDS = 10 * 60


def is_here():
    return bool(shutil.which("apt-get") and shutil.which("dpkg-deb"))


def unpack(package, folder):
    """The files of a package as they would lie under `/`, in a folder inside `folder`, where apt keeps its own as well."""
    state, cache, unpacked = folder / "state", folder / "cache", folder / "unpacked"
    for needed in (state / "lists/partial", cache / "archives/partial"):
        needed.mkdir(parents=True)
    options = [f"Dir::State={state}", f"Dir::Cache={cache}", "APT::Sandbox::User=root"]
    apt = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    print(f"  fetching {package} from Debian", flush=True)
    # Of many sources one may be out of reach that this package does not come from.
    _run([*apt, "update"], folder, check=False)
    _run([*apt, "download", package], folder)
    _run(["dpkg-deb", "-x", *map(str, folder.glob("*.deb")), str(unpacked)], folder)
    return unpacked


def _run(command, folder, check=True):
    ended = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, timeout=SECONDS, check=False)
    if check and ended.returncode != 0:
        raise SetupFailure(
            f"`{command[0]}` failed (its own words are above)",
            "check the network and the sources of apt, then run again",
        )
