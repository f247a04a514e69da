"""Makes a model folder whose towers cost next to nothing and whose vectors are as long as ViT-L/14's.

    PYTHONPATH=models:bench python bench/setup/narrow.py FOLDER      run with the virtual environment's Python
"""

import sys
from pathlib import Path

import clip_graph
import make_random

from setup.weights import NARROW, NARROW_DIMENSION

if __name__ == "__main__":
    tower = clip_graph.Tower(64, 2, 1)
    clip_graph.ARCHITECTURES[NARROW] = clip_graph.Architecture(224, 32, tower, tower, NARROW_DIMENSION)
    make_random.write_random(NARROW, 0, Path(sys.argv[1]))
