"""Lets PyTorch's CUDA wheel run on a machine without CUDA: `python torch_without_cuda.py TORCH_FOLDER`.

PyPI's torch for Linux on x86-64 needs some three gigabytes of CUDA packages to be imported, of which a computation on
the processor calls nothing. In their place this builds empty libraries with the same names, versions and symbols beside
torch's own. Needs cc, nm and readelf. It is for timing; whatever touches CUDA aborts.
"""

import re
import subprocess
import sys
from pathlib import Path

ABORT = "void {}(void) {{ __builtin_trap(); }}\n"
QUIET = "void *{}(void) {{ return 0; }}\n"  # kernels register themselves when a library is loaded


def main():
    folder = Path(sys.argv[1]) / "lib"
    libraries = sorted(folder.glob("*.so"))
    needed = {name for library in libraries for name in listed(["readelf", "-d", library], r"\(NEEDED\).*\[(.+?)\]")}
    missing = {name for name in needed if is_of_cuda(name) and not (folder / name).exists()}
    nodes = {name: {name: set()} for name in missing}
    for library in libraries:
        add_versions(nodes, library)
    wanted = {symbol for library in libraries for symbol in listed(["nm", "-D", "-u", library], r"[Uw] (\S+)")}
    wanted = {symbol for symbol in wanted if re.match(r"(cu|__cuda|nccl|nvrtc|nvshmem|nvJit|nvtx)\w", symbol)}
    place_symbols(nodes, wanted)
    for name, versions in nodes.items():
        build(folder, name, versions)
    print(f"{len(nodes)} stand-ins for {len(wanted)} symbols in {folder}")


def is_of_cuda(name):
    return re.match(r"lib(cu|nccl|nv)", name)


def listed(command, pattern):
    return re.findall(pattern, subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def add_versions(nodes, library):
    """Which versions of each library this one asks for."""
    text = subprocess.run(["readelf", "-VW", library], capture_output=True, text=True, check=True).stdout
    for name, block in re.findall(r"File: (\S+)\s+Cnt: \d+\n((?:\s+0x\w+:\s+Name: .*\n?|\s+\w+: +Name: .*\n?)*)", text):
        if name in nodes:
            for version in re.findall(r"Name: (\S+)", block):
                nodes[name].setdefault(version, set())


def place_symbols(nodes, wanted):
    versions = {version: name for name, all_versions in nodes.items() for version in all_versions}
    anywhere = next(iter(nodes))
    for symbol in wanted:
        bare, _, version = symbol.partition("@")
        name = versions.get(version, anywhere)
        nodes[name].setdefault(version if version in versions else name, set()).add(bare)


def build(folder, name, versions):
    source = "".join((QUIET if symbol.startswith("__") else ABORT).format(symbol) for symbols in versions.values() for symbol in sorted(symbols))
    (folder / "standin.c").write_text(source)
    script = "".join(
        f'{version} {{ {"global: " + "; ".join(sorted(symbols)) + ";" if symbols else ""} }};\n'
        for version, symbols in versions.items()
    )
    (folder / "standin.map").write_text(script)
    command = ["cc", "-shared", "-fPIC", "-w", "-fno-builtin", "standin.c", "-o", name]
    command += [f"-Wl,-soname,{name}", "-Wl,--version-script=standin.map"]
    subprocess.run(command, cwd=folder, check=True)


if __name__ == "__main__":
    main()
