"""Models of the place: what set-up made, the narrow one, and each of them again for PyTorch, compared with the ONNX file."""

import json
import shutil
import subprocess
from pathlib import Path

from driver.place import ROOT, Place
from setup.environment import SetupFailure

NARROW = "narrow"
NARROW_DIMENSION = 768  # of ViT-L/14
PARITY = "parity.json"


def provide(place: Place, model: str) -> dict[str, float]:
    """Puts a model's PyTorch weights in place; answers the lowest cosine between PyTorch and ONNX Runtime by tower."""
    folder, out = place.models[model], place.weights(model)
    if model == NARROW and not (folder / "model.toml").exists():
        _make_narrow(place, folder)
    if not (folder / "model.toml").exists():
        raise SetupFailure(f"{folder} is not there: run `./just setup {model}`")
    manifest = (folder / "model.toml").read_text(encoding="utf-8")
    kept = out / PARITY
    if kept.exists():
        found = json.loads(kept.read_text(encoding="utf-8"))
        if found["manifest"] == manifest:
            return found["cosines"]
    print(f"making PyTorch's weights of {model}, and comparing both runtimes' vectors", flush=True)
    shutil.rmtree(out, ignore_errors=True)
    command = [str(place.python), "-m", "service.convert", str(folder), str(out)]
    ended = subprocess.run(command, env=place.environment(), stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode != 0:
        raise SetupFailure(f"PyTorch and ONNX Runtime do not agree on {model}: {ended.stdout.strip() or 'see above'}")
    cosines = json.loads(ended.stdout)
    kept.write_text(json.dumps({"manifest": manifest, "cosines": cosines}), encoding="utf-8")
    return cosines


def _make_narrow(place: Place, folder: Path) -> None:
    environment = place.environment() | {"PYTHONPATH": f"{ROOT / 'models'}:{ROOT / 'bench'}"}
    subprocess.run([str(place.python), str(ROOT / "bench/setup/narrow.py"), str(folder)], env=environment, check=True)


def manifest_name(place: Place, model: str) -> str:
    """The name that a model's manifest gives it."""
    for line in (place.models[model] / "model.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith("name ="):
            return json.loads(line.partition("=")[2])
    raise SetupFailure(f"{place.models[model]} has no name")
