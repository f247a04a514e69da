"""Photographs to send: made once, by Pillow of the virtual environment."""

import json
import subprocess
from pathlib import Path

from driver.place import Place


def provide(place: Place, count: int) -> list[bytes]:
    """That many different JPEGs of 1200 x 900 pixels."""
    folder = place.cache / "pictures"
    missing = [number for number in range(count) if not _path(folder, number).exists()]
    if missing:
        command = [str(place.python), "-m", "inference.pictures", str(folder), json.dumps(missing)]
        subprocess.run(command, env=place.environment(), check=True)
    return [_path(folder, number).read_bytes() for number in range(count)]


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:04}.jpg"
