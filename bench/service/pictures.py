"""JPEG bytes to what CLIP looks at, by Pillow."""

import io

import numpy as np
from PIL import Image

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


def preprocess(data: bytes, size: int) -> np.ndarray:
    """Pixels [3, size, size]: shortest side to `size` by bicubic, the middle cut out, normalised."""
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGB")
    width, height = image.size
    scale = size / min(width, height)
    wide, high = max(size, round(width * scale)), max(size, round(height * scale))
    image = image.resize((wide, high), Image.Resampling.BICUBIC)
    left, top = (wide - size) // 2, (high - size) // 2
    image = image.crop((left, top, left + size, top + size))
    pixels = (np.asarray(image, np.float32) / np.float32(255) - MEAN) / DEVIATION
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
