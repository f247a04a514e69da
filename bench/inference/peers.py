"""JPEG bytes to unit vectors by one runtime: `python -m inference.peers RUNTIME MODEL_FOLDER WEIGHTS PICTURES SECONDS`.

Prints a line of JSON for each batch size: milliseconds a batch, one for each repetition, and the cosine to fp32.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from service.pictures import preprocess

BATCHES = (1, 8)
SIZE = 224
CORES = os.cpu_count() or 1

Embed = Callable[[np.ndarray], np.ndarray]


def torch_fp32(folder: Path, weights: Path) -> Embed:
    import torch

    from service import clip as torch_clip

    torch.set_num_threads(CORES)
    clip = torch_clip.load(weights)
    return lambda pixels: clip.encode_image(torch.from_numpy(pixels)).numpy()


def torch_bf16(folder: Path, weights: Path) -> Embed:
    import torch

    from service import clip as torch_clip

    torch.set_num_threads(CORES)
    clip = torch_clip.load(weights).to(torch.bfloat16)
    return lambda pixels: clip.encode_image(torch.from_numpy(pixels).bfloat16()).float().numpy()


def _session(path: Path, **more) -> Embed:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = CORES
    session = onnxruntime.InferenceSession(path, options, **more)
    # ONNX Runtime goes on with another provider where the one asked for does not start.
    wanted = more["providers"][0]
    if session.get_providers()[0] != wanted:
        raise SystemExit(f"{wanted} does not start here")
    name = session.get_inputs()[0].name
    return lambda pixels: session.run(None, {name: pixels})[0]


def ort_fp32(folder: Path, weights: Path) -> Embed:
    return _session(folder / "image.onnx", providers=["CPUExecutionProvider"])


def ort_int8(folder: Path, weights: Path) -> Embed:
    """Weights in int8, activations quantised as they come."""
    made = weights / "image.int8.onnx"
    if not made.exists():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        written = made.with_suffix(".tmp")
        quantize_dynamic(folder / "image.onnx", written, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul"])
        written.rename(made)
    return _session(made, providers=["CPUExecutionProvider"])


def _openvino(folder: Path, more: dict[str, str]) -> Embed:
    settings = {"device_type": "CPU", "num_of_threads": str(CORES)} | more
    return _session(folder / "image.onnx", providers=["OpenVINOExecutionProvider"], provider_options=[settings])


def openvino_fp32(folder: Path, weights: Path) -> Embed:
    return _openvino(folder, {"precision": "FP32"})


def openvino_bf16(folder: Path, weights: Path) -> Embed:
    """bf16 where the processor multiplies it; the provider's own `precision` knows fp32 and fp16 only."""
    return _openvino(folder, {"load_config": json.dumps({"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}})})


RUNTIMES = {one.__name__: one for one in (torch_fp32, torch_bf16, ort_fp32, ort_int8, openvino_fp32, openvino_bf16)}


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def measure(embed: Embed, images: list[bytes], batch: int, seconds: float) -> list[float]:
    """Milliseconds of each batch, decoding included, for so long and at least three times."""
    took: list[float] = []
    end = time.monotonic() + seconds
    place = 0
    while len(took) < 3 or time.monotonic() < end:
        started = time.monotonic()
        chosen = [images[(place + one) % len(images)] for one in range(batch)]
        unit(embed(np.stack([preprocess(image, SIZE) for image in chosen])))
        took.append((time.monotonic() - started) * 1e3)
        place += batch
    return took


def main(runtime: str, folder: Path, weights: Path, pictures: Path, seconds: float) -> None:
    images = [path.read_bytes() for path in sorted(pictures.glob("*.jpg"))[:16]]
    embed = RUNTIMES[runtime](folder, weights)
    first = np.stack([preprocess(image, SIZE) for image in images[:4]])
    vectors = unit(embed(first))
    reference = weights / "reference.npy"
    if runtime == "ort_fp32":
        np.save(reference, vectors)
    cosine = float((vectors * np.load(reference)).sum(axis=1).min()) if reference.exists() else None
    for batch in BATCHES:
        embed(np.stack([first[0]] * batch))
        print(json.dumps({"batch": batch, "milliseconds": measure(embed, images, batch, seconds), "cosine": cosine}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]), float(sys.argv[5]))
