"""The reference preprocessing and tokenizer that the Rust crate `taja-clip` is held against.

Preprocessing is torchvision's `Resize(size, BICUBIC)`, `CenterCrop(size)`, `ToTensor`, `Normalize` for Pillow images,
written out: torchvision leaves the resampling itself to Pillow.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
CONTEXT = 77


def open_upright(path):
    """The picture as a viewer shows it: EXIF orientation applied, alpha dropped, RGB."""
    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def crop(image, size, resample=Image.Resampling.BICUBIC):
    """Shorter side to `size`, then the central square, as uint8 [size, size, 3]."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    longer = int(size * long / short)
    scaled = (size, longer) if width <= height else (longer, size)
    if scaled != image.size:
        image = image.resize(scaled, resample)
    left, top = (int(round((side - size) / 2.0)) for side in image.size)
    return np.asarray(image.crop((left, top, left + size, top + size)))


def tensor(pixels):
    """float32 [3, size, size], normalised."""
    scaled = pixels.astype(np.float32) / np.float32(255)
    return ((scaled - MEAN) / STD).transpose(2, 0, 1)


def openai_tokenizer():
    """OpenAI's SimpleTokenizer out of the package clip-anytorch, without importing the package (which needs torch)."""
    folder = importlib.util.find_spec("clip").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location("simple_tokenizer", Path(folder) / "simple_tokenizer.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["simple_tokenizer"] = module
    spec.loader.exec_module(module)
    return module.SimpleTokenizer()


def tokenize(tokenizer, text):
    """The ids of `clip.tokenize(text, truncate=True)`, without the zeros behind them."""
    start, end = tokenizer.encoder["<|startoftext|>"], tokenizer.encoder["<|endoftext|>"]
    ids = [start, *tokenizer.encode(text), end]
    if len(ids) > CONTEXT:
        ids = ids[:CONTEXT]
        ids[-1] = end
    return ids


def normalised(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def apply_head(tensors, x):
    """One vector through a head; what is not there is left out."""
    t = {name: value.astype(np.float64) for name, value in tensors.items()}
    x = x.astype(np.float64) - t.get("center_in", 0)
    y = t["weight"] @ x if "weight" in t else x
    y = y + t.get("bias", 0)
    if "anchor_keys" in t:
        logits = t["anchor_scale"] * (t["anchor_keys"] @ x)
        shares = np.exp(logits - logits.max())
        y = y + t["anchor_mix"] * (shares / shares.sum()) @ t["anchor_values"]
    return y


def unit(values):
    """At unit length and short enough to commit."""
    return [round(float(value), 5) for value in normalised(np.asarray(values, np.float64))]
