"""JPEG bytes to vectors: other runtimes in Python, and Taja as its clients see it."""

import json
import subprocess
import threading
import time
from dataclasses import dataclass

from driver import pictures
from driver.bench import Bench
from driver.report import cell, ratio_cell, render
from driver.statistics import Figure, median

MODELS = {"b32": "ViT-B/32", "l14": "ViT-L/14"}
BATCHES = (1, 8)
PICTURES = 16
# The reference of the cosines comes first.
RUNTIMES = {
    "ort_fp32": "ONNX Runtime, Python, fp32",
    "torch_fp32": "PyTorch, fp32",
    "torch_bf16": "PyTorch, bf16",
    "ort_int8": "ONNX Runtime, Python, int8 (dynamic)",
    "openvino_fp32": "ONNX Runtime with OpenVINO, fp32",
    "openvino_bf16": "ONNX Runtime with OpenVINO, bf16",
}
TAJA = "Taja, as it chose, over HTTP (search by picture, whole)"
HEADINGS = ("model", "runtime", "one picture", "eight at once, per picture", "one / PyTorch", "eight / PyTorch", "cosine to fp32")


@dataclass
class Line:
    """One runtime with one model: milliseconds per picture by batch size, one value per round."""

    model: str
    name: str
    title: str
    figures: dict[int, Figure]
    cosine: float | None = None
    failure: str = ""


def run(bench: Bench) -> list[Line]:
    lines = []
    for model in ("b32",) if bench.quick else MODELS:
        runtimes = tuple(RUNTIMES)
        rounds: dict[tuple[str, int], list[float]] = {}
        cosines: dict[str, float | None] = {}
        failures: dict[str, str] = {}
        for _ in range(bench.rounds):
            for runtime in runtimes:
                if runtime not in failures:
                    bench.settle()
                    _one(bench, model, runtime, rounds, cosines, failures)
            bench.settle()
            for batch, value in _taja(bench, model).items():
                rounds.setdefault(("taja", batch), []).append(value)
                bench.say(f"inference, {model}, Taja over HTTP, {batch} at once: {value:.1f} ms a picture")
        for name, title in ({"taja": TAJA} | RUNTIMES).items():
            figures = {batch: Figure(tuple(rounds[name, batch])) for batch in BATCHES if (name, batch) in rounds}
            lines.append(Line(model, name, title, figures, cosines.get(name), failures.get(name, "")))
    return lines


def _one(bench: Bench, model: str, runtime: str, rounds: dict, cosines: dict, failures: dict) -> None:
    place = bench.place
    pictures.provide(place, PICTURES)
    python = place.openvino if runtime.startswith("openvino") else place.python
    seconds = bench.pick(6, 2)
    command = [str(python), "-m", "inference.peers", runtime, str(place.models[model]), str(place.weights(model))]
    command += [str(place.cache / "pictures"), str(seconds)]
    environment = place.environment(OMP_WAIT_POLICY="PASSIVE")
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        failures[runtime] = (ended.stderr.strip().splitlines() or ["?"])[-1][:80]
        bench.say(f"inference, {model}, {runtime}: {failures[runtime]}")
        return
    for found in map(json.loads, (line for line in ended.stdout.splitlines() if line.startswith("{"))):
        value = median(found["milliseconds"]) / found["batch"]
        rounds.setdefault((runtime, found["batch"]), []).append(value)
        cosines[runtime] = found["cosine"]
        bench.say(f"inference, {model}, {runtime}, batch {found['batch']}: {value:.1f} ms a picture")


def _taja(bench: Bench, model: str) -> dict[int, float]:
    """Milliseconds per picture, one search at a time and eight at once, each by a picture that was never seen."""
    count = bench.pick(8, 4)
    sent = pictures.provide(bench.place, PICTURES + 1 + count + 16)[PICTURES:]
    with bench.service("taja", model) as service:
        client = service.client()
        client.wait("search", client.search_image(sent[0]))
        took = []
        for image in sent[1 : 1 + count]:
            started = time.monotonic()
            client.wait("search", client.search_image(image))
            took.append((time.monotonic() - started) * 1e3)
        batch = sent[1 + count :]
        started = time.monotonic()
        threads = [threading.Thread(target=_searches, args=(service, batch[place::8])) for place in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {1: median(took), 8: (time.monotonic() - started) * 1e3 / len(batch)}


def _searches(service, images: list[bytes]) -> None:
    client = service.client()
    for image in images:
        client.wait("search", client.search_image(image))


def table(lines: list[Line]) -> str:
    """The Markdown table."""
    return render(HEADINGS, (_cells(line, lines) for line in lines))


def _cells(line: Line, lines: list[Line]) -> list[str]:
    torch = next(one for one in lines if one.model == line.model and one.name == "torch_fp32")
    cells = [MODELS[line.model], line.title]
    cells += [cell(line.figures.get(batch), "ms", line.failure) for batch in BATCHES]
    for batch in BATCHES:
        ours, theirs = line.figures.get(batch), torch.figures.get(batch)
        cells.append(ratio_cell(ours.median / theirs.median if ours and theirs else None))
    return [*cells, "-" if line.cosine is None else f"{line.cosine:.4f}"]


