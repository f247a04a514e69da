"""Exports a CLIP checkpoint to a model folder: image.onnx, text.onnx, merges.txt and model.toml.

    python export.py --manifest openai-clip-vit-b-32.toml --checkpoint ViT-B-32.pt --output out/vit-b-32
    python export.py --random-weights --arch ViT-B-32 --seed 1 --output out/random-b-32

Reads OpenAI's, OpenCLIP's and transformers' layouts (see checkpoints.py). Needs numpy and onnx (make_random.requirements.txt), safetensors
for .safetensors checkpoints and torch only for .pt, .pth and .bin ones.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path

from checkpoints import read_checkpoint
from clip_graph import ARCHITECTURES, infer_architecture
from make_random import write_random
from model_folder import file_sha256, write_model_folder


def export_checkpoint(manifest_path, checkpoint, activation, folder):
    manifest = tomllib.loads(manifest_path.read_text(encoding="utf-8"))
    sha256 = file_sha256(checkpoint)
    print(_compare_sha256(manifest["source"], sha256))
    weights = read_checkpoint(checkpoint)
    arch = infer_architecture(weights)
    _check_shape(manifest, arch)
    source = f"{manifest['source']}; exported from {checkpoint.name} (sha256 {sha256})"
    about = {key: manifest[key] for key in ("name", "title", "licence")} | {"source": source}
    write_model_folder(folder, weights, arch, _is_quick(activation, manifest["name"]), about)
    print(f"{folder}: {manifest['title']}, {arch}")


def _compare_sha256(source, sha256):
    published = re.search(r"\b[0-9a-f]{64}\b", source)
    if not published:
        return f"checkpoint sha256 {sha256}; the manifest names none to compare with"
    if published[0] == sha256:
        return "the checkpoint is the published one"
    return f"checkpoint sha256 {sha256} is not the published one; right only for another layout of the same weights"


def _check_shape(manifest, arch):
    expected = manifest["dimension"], manifest["image"]["preprocess"]["size"], manifest["text"]["context"]
    found = arch.dimension, arch.size, arch.context
    if expected != found:
        sys.exit(f"the manifest expects dimension, size and context {expected}, the checkpoint has {found}")


def _is_quick(activation, name):
    """OpenAI trained with x * sigmoid(1.702 x); OpenCLIP's own models use the exact GELU unless their name says quickgelu."""
    if activation == "auto":
        return name.startswith("openai-")
    return activation == "quick-gelu"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, help="one of the manifests beside this script")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--activation", choices=("auto", "quick-gelu", "gelu"), default="auto")
    parser.add_argument("--random-weights", action="store_true")
    parser.add_argument("--arch", choices=ARCHITECTURES, default="ViT-B-32", help="with --random-weights")
    parser.add_argument("--seed", type=int, default=0, help="with --random-weights")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    if options.random_weights:
        write_random(options.arch, options.seed, options.output, options.activation != "gelu")
    elif options.manifest and options.checkpoint:
        export_checkpoint(options.manifest, options.checkpoint, options.activation, options.output)
    else:
        parser.error("give --manifest and --checkpoint, or --random-weights")


if __name__ == "__main__":
    main()
