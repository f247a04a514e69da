"""Makes a model folder of a CLIP architecture with seeded random weights, for tests and timing: it understands nothing.

    python make_random.py --arch tiny --output out/tiny

Needs only numpy and onnx. The same seed gives the same bytes on every machine.
"""

import argparse
from pathlib import Path

import numpy as np

from clip_graph import ARCHITECTURES
from model_folder import write_model_folder

HALF = np.float32(0.5)


def random_weights(arch, seed):
    """Scaled as CLIP's own initialisation is, so that no layer saturates."""
    draw = _Drawer(seed)
    patches = (arch.size // arch.patch) ** 2
    image, text = arch.image, arch.text
    weights = {
        "visual.class_embedding": draw(image.width, scale=image.width**-0.5),
        "visual.positional_embedding": draw(patches + 1, image.width, scale=image.width**-0.5),
        "visual.conv1.weight": draw(image.width, 3, arch.patch, arch.patch, scale=(3 * arch.patch**2) ** -0.5),
        "visual.proj": draw(image.width, arch.dimension, scale=image.width**-0.5),
        "token_embedding.weight": draw(arch.vocabulary, text.width, scale=0.02),
        "positional_embedding": draw(arch.context, text.width, scale=0.01),
        "text_projection": draw(text.width, arch.dimension, scale=text.width**-0.5),
    }
    for name, tower in (("visual.ln_pre", image), ("visual.ln_post", image), ("ln_final", text)):
        weights |= _layer_norm(name, tower.width)
    for prefix, tower in (("visual.transformer", image), ("transformer", text)):
        for layer in range(tower.layers):
            weights |= _block(f"{prefix}.resblocks.{layer}", tower, draw)
    return weights


def _block(name, tower, draw):
    width = tower.width
    branch = width**-0.5 * (2 * tower.layers) ** -0.5
    weights = {
        f"{name}.attn.in_proj_weight": draw(3 * width, width, scale=width**-0.5),
        f"{name}.attn.out_proj.weight": draw(width, width, scale=branch),
        f"{name}.mlp.c_fc.weight": draw(4 * width, width, scale=(2 * width) ** -0.5),
        f"{name}.mlp.c_proj.weight": draw(width, 4 * width, scale=branch),
    }
    for bias, size in (("attn.in_proj_bias", 3), ("attn.out_proj.bias", 1), ("mlp.c_fc.bias", 4), ("mlp.c_proj.bias", 1)):
        weights[f"{name}.{bias}"] = draw(size * width, scale=0.01)
    return weights | _layer_norm(f"{name}.ln_1", width) | _layer_norm(f"{name}.ln_2", width)


def _layer_norm(name, width):
    return {f"{name}.weight": np.ones(width, np.float32), f"{name}.bias": np.zeros(width, np.float32)}


class _Drawer:
    """Uniform numbers of the wanted deviation. They are made of integers alone, so every platform draws the same ones."""

    def __init__(self, seed):
        self.generator = np.random.Generator(np.random.PCG64(seed))

    def __call__(self, *shape, scale):
        return (self.generator.random(shape, dtype=np.float32) - HALF) * np.float32(12**0.5 * scale)


def about_random(arch_name, seed):
    return {
        "name": f"random-clip-{arch_name.lower()}-seed-{seed}",
        "title": f"Random weights in the shape of CLIP {arch_name} (understands nothing)",
        "licence": "MIT",
        "source": f"made by make_random.py with seed {seed}",
    }


def write_random(arch_name, seed, folder, quick_gelu=True):
    arch = ARCHITECTURES[arch_name]
    write_model_folder(folder, random_weights(arch, seed), arch, quick_gelu, about_random(arch_name, seed))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=ARCHITECTURES, default="tiny")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    write_random(options.arch, options.seed, options.output)
    print(f"{options.output}: random {options.arch}, seed {options.seed}")


if __name__ == "__main__":
    main()
