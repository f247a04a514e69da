"""Stands in for CUDA's libraries, so that PyTorch of PyPI runs on a machine without a GPU and without gigabytes of them.

The wheels of PyPI for Linux on x86_64 are linked with CUDA, and the loader wants each of its libraries at start. On a
CPU nothing in them is ever computed with. A stub has the name, the versions and the functions that PyTorch asks for, and
every function answers "no device".
"""

import re
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

CUDA_LIBRARY = re.compile(r"lib(cu|nccl|nvrtc|nvshmem)")
CUDA_FUNCTION = re.compile(r"_*(cu|nccl|nvrtc|nvshmem)")
NO_DEVICE = 100  # cudaErrorNoDevice
UNVERSIONED = ""


class StubFailure(Exception):
    """The stubs could not be made."""


@dataclass
class Wanted:
    """What a folder of libraries wants of libraries that are not there: functions by version by library."""

    libraries: set[str] = field(default_factory=set)
    functions: dict[str, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    loose: set[str] = field(default_factory=set)  # functions that are asked of no library in particular


def parse_needed(dynamic: str) -> list[str]:
    """The libraries named in what `readelf -d` prints."""
    return re.findall(r"\(NEEDED\)[^\[]*\[([^\]]+)\]", dynamic)


def parse_versions(versions: str) -> dict[str, str]:
    """Which library each version belongs to, from what `readelf -V` prints."""
    owners: dict[str, str] = {}
    library = ""
    for line in versions.splitlines():
        if found := re.search(r"File: (\S+)", line):
            library = found[1]
        if found := re.search(r"Name: (\S+)\s+Flags:", line):
            owners[found[1]] = library
    return owners


def parse_undefined(symbols: str) -> list[tuple[str, str]]:
    """The undefined symbols that `readelf --dyn-syms` prints, each with the version it is asked for in, or none."""
    undefined = []
    for line in symbols.splitlines():
        columns = line.split()
        if len(columns) >= 8 and columns[6] == "UND":
            name, _, version = columns[7].partition("@")
            undefined.append((name, version))
    return undefined


def wanted(folder: Path) -> Wanted:
    """What the libraries of a folder want of CUDA's."""
    result = Wanted()
    libraries = sorted(folder.glob("*.so"))
    present = {path.name for path in libraries}
    for path in libraries:
        needed = parse_needed(_readelf("-dW", path))
        result.libraries |= {name for name in needed if CUDA_LIBRARY.match(name) and name not in present}
    for path in libraries:
        owners = parse_versions(_readelf("-VW", path))
        for name, version in parse_undefined(_readelf("--dyn-syms", "-W", path)):
            if owners.get(version) in result.libraries:
                result.functions[owners[version]][version].add(name)
            elif not version and CUDA_FUNCTION.match(name):
                result.loose.add(name)
    return result


def source(functions: set[str]) -> str:
    """A library of these functions, in C."""
    lines = [f"int {name}(void) {{ return {NO_DEVICE}; }}" for name in sorted(functions)]
    return "\n".join(lines) + "\n"


def version_script(versions: dict[str, set[str]]) -> str:
    """What tells the linker in which version each function is offered."""
    nodes = [
        f"{version} {{ global: {'; '.join(sorted(names))}; }};" for version, names in sorted(versions.items()) if version
    ]
    return "\n".join(nodes) + "\n"


def make(folder: Path) -> list[str]:
    """Puts a stub beside the libraries of a folder for each library of CUDA's they want; answers their names."""
    found = wanted(folder)
    # Who asks for a function without a version finds it wherever it is.
    host = min(found.libraries, default="")
    for library in sorted(found.libraries):
        versions = found.functions.get(library, {})
        functions = set().union(*versions.values())
        if library == host:
            functions |= found.loose - set().union(*(names for one in found.functions.values() for names in one.values()))
        _compile(folder, library, functions, versions)
    return sorted(found.libraries)


def _compile(folder: Path, library: str, functions: set[str], versions: dict[str, set[str]]) -> None:
    options = ["-shared", "-fPIC", "-w", "-nostdlib", "-x", "c", "-", f"-Wl,-soname,{library}"]
    script = folder / f"{library}.map"
    if versions:
        script.write_text(version_script(versions), encoding="utf-8")
        options.append(f"-Wl,--version-script={script}")
    command = ["cc", "-o", str(folder / library), *options]
    ended = subprocess.run(command, input=source(functions), text=True, capture_output=True, check=False)
    script.unlink(missing_ok=True)
    if ended.returncode != 0:
        raise StubFailure(f"cc does not make {library}: {ended.stderr.strip()[:300]}")


def _readelf(*arguments: str | Path) -> str:
    command = ["readelf", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
