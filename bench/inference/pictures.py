"""Makes JPEGs of the size of a product photograph: soft shapes and fine grain, each from its number alone.

    python -m inference.pictures FOLDER '[0, 1, 2]'
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 1200, 900
COARSE = (12, 9)
FINE = (150, 112)
GRAIN = 6.0
QUALITY = 88


def picture(number: int) -> Image.Image:
    """One picture. A JPEG of it has about 200 kB, as a photograph from a telephone that a chat has shrunk."""
    draw = np.random.default_rng(number)
    layers = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for size, share in ((COARSE, 0.75), (FINE, 0.25)):
        noise = Image.fromarray(draw.integers(0, 256, (size[1], size[0], 3), np.uint8))
        layers += share * np.asarray(noise.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
    layers += draw.normal(0, GRAIN, layers.shape)
    return Image.fromarray(layers.clip(0, 255).astype(np.uint8))


def main(folder: Path, numbers: list[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        made = folder / f"{number:04}.tmp"
        picture(number).save(made, "JPEG", quality=QUALITY)
        made.rename(folder / f"{number:04}.jpg")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
