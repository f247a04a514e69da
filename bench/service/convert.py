"""Builds the PyTorch model from the very initialisers of an ONNX model folder, and holds the two against each other.

    python -m service.convert MODEL_FOLDER OUT      prints the cosines as JSON; exit status 1 when they are too low
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper

from service import clip as torch_clip
from service.clip import Clip, Shape
from service.tokens import MERGES, Tokenizer

MIN_COSINE = 0.9999
TEXTS = ["a red shoe", "fresh fruit, two kilos", "x", "a " * 200]
PICTURES = 3
SEED = 7

Arrays = dict[str, np.ndarray]


def initialisers(path: Path) -> Arrays:
    """The constants of a graph by name."""
    return {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}


def infer_shape(image: Arrays, text: Arrays) -> Shape:
    """Reads the architecture off the weights."""
    width, _, patch, _ = image["visual.conv1.weight"].shape
    grid = round((image["visual.positional_embedding"].shape[0] - 1) ** 0.5)
    context, text_width = text["positional_embedding"].shape
    return Shape(
        image_width=width,
        image_layers=_layers(image),
        text_width=text_width,
        text_layers=_layers(text),
        patch=patch,
        size=grid * patch,
        dimension=text["text_projection"].shape[1],
        context=context,
        vocabulary=text["token_embedding.weight"].shape[0],
        quick_gelu=any(name.startswith("scalar_1.702") for name in image),
    )


def build(folder: Path) -> Clip:
    """The PyTorch model of an ONNX model folder."""
    image, text = initialisers(folder / "image.onnx"), initialisers(folder / "text.onnx")
    shape = infer_shape(image, text)
    weights = {f"image.{name}": value for name, value in _renamed(image, "visual.").items()}
    weights |= {f"text.{name}": value for name, value in _renamed(text, "").items()}
    with torch.device("meta"):
        clip = Clip(shape)
    clip.load_state_dict(weights, assign=True)
    return clip.eval()


def _layers(arrays: Arrays) -> int:
    return len({name.split("resblocks.")[1].split(".")[0] for name in arrays if "resblocks." in name})


def _renamed(arrays: Arrays, prefix: str) -> dict[str, torch.Tensor]:
    """The weights by this module's names; the graph's own constants are left out."""
    renamed = {}
    for name, value in arrays.items():
        if name.startswith(("ints_", "scalar_", "causal_mask")):
            continue
        transposed = name.endswith("_t")
        name = name.removesuffix("_t").removeprefix(prefix).replace("transformer.resblocks.", "blocks.")
        name = name.replace(".mlp.", ".").replace("in_proj_weight", "in_proj.weight").replace("in_proj_bias", "in_proj.bias")
        array = value.T if transposed else value
        renamed[name] = torch.from_numpy(np.array(array, order="C"))
    return renamed


def parity(clip: Clip, folder: Path, tokenizer: Tokenizer) -> dict[str, float]:
    """The lowest cosine between the two runtimes' vectors of the same input, by tower."""
    generator = np.random.default_rng(SEED)
    size = clip.shape.size
    pixels = generator.normal(size=(PICTURES, 3, size, size)).astype(np.float32)
    lowest = {"image": _lowest(_onnx(folder / "image.onnx", pixels), clip.encode_image(torch.from_numpy(pixels)))}
    cosines = []
    for text in TEXTS:
        tokens = tokenizer.encode([text])
        cosines.append(_lowest(_onnx(folder / "text.onnx", tokens), clip.encode_text(torch.from_numpy(tokens))))
    return lowest | {"text": min(cosines)}


def _onnx(path: Path, batch: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: batch})[0]


def _lowest(one: np.ndarray, other: torch.Tensor) -> float:
    one = one / np.linalg.norm(one, axis=1, keepdims=True)
    return float((one * other.numpy()).sum(axis=1).min())


def main(arguments: list[str]) -> int:
    folder, out = map(Path, arguments)
    clip = build(folder)
    torch_clip.save(clip, out)
    shutil.copyfile(folder / MERGES, out / MERGES)
    found = parity(torch_clip.load(out), folder, Tokenizer(out))
    print(json.dumps(found))
    return 0 if min(found.values()) >= MIN_COSINE else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
