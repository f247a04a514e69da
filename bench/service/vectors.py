"""Vectors of made-up pictures, in clusters as those of real ones: `python -m service.vectors COUNT DIMENSION FILE`.

They differ in 48 directions, by clusters of a hundred that overlap, and a little in all others.
"""

import sys
from collections.abc import Iterator

import numpy as np

BATCH = 1000
CLUSTER = 100
LATENT = 48
SEED = 11


def batches(count: int, dimension: int) -> Iterator[np.ndarray]:
    """Unit vectors, 32-bit floats, a thousand at a time; the same ones for the same numbers."""
    draw = np.random.default_rng(SEED)
    mixing = draw.normal(size=(LATENT, dimension))
    centres = draw.normal(size=(max(1, count // CLUSTER), LATENT))
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        latent = centres[draw.integers(len(centres), size=size)] + 0.5 * draw.normal(size=(size, LATENT))
        vectors = latent @ mixing + 0.7 * draw.normal(size=(size, dimension))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        yield vectors.astype("<f4")


def main(count: int, dimension: int, path: str) -> None:
    with open(path, "wb") as file:
        for batch in batches(count, dimension):
            file.write(batch.tobytes())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
