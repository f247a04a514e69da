"""Writes a model folder: image.onnx, text.onnx, the tokenizer's merges and the manifest model.toml that pins them."""

import hashlib
import json
import shutil
from pathlib import Path

import onnx

from clip_graph import build_image_graph, build_text_graph

READ_BYTES = 1 << 20
MERGES = Path(__file__).parent / "tokenizer" / "merges.txt"

MANIFEST = """\
name = {name}
title = {title}
dimension = {dimension}
licence = {licence}
source = {source}

[image]
file = "image.onnx"
sha256 = "{image_sha256}"
size_bytes = {image_size}
input = "pixel_values"
output = "image_embeds"

[image.preprocess]
size = {size}
resize = "shortest"
interpolation = "bicubic"
mean = [0.48145466, 0.4578275, 0.40821073]
std = [0.26862954, 0.26130258, 0.27577711]

[text]
file = "text.onnx"
sha256 = "{text_sha256}"
size_bytes = {text_size}
output = "text_embeds"
context = {context}
pooling = "none"

[text.tokenizer]
kind = "clip-bpe"
file = "merges.txt"
sha256 = "{merges_sha256}"
"""


def write_model_folder(folder, weights, arch, quick_gelu, about):
    """`about` holds the name, title, licence and source that the manifest repeats."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(build_image_graph(weights, arch, quick_gelu), folder / "image.onnx")
    onnx.save(build_text_graph(weights, arch, quick_gelu), folder / "text.onnx")
    shutil.copyfile(MERGES, folder / "merges.txt")
    (folder / "model.toml").write_text(_render_manifest(folder, arch, about), encoding="utf-8")


def file_sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(READ_BYTES), b""):
            digest.update(block)
    return digest.hexdigest()


def _render_manifest(folder, arch, about):
    quoted = {key: json.dumps(about[key], ensure_ascii=False) for key in ("name", "title", "licence", "source")}
    return MANIFEST.format(
        **quoted,
        dimension=arch.dimension,
        size=arch.size,
        context=arch.context,
        image_sha256=file_sha256(folder / "image.onnx"),
        image_size=(folder / "image.onnx").stat().st_size,
        text_sha256=file_sha256(folder / "text.onnx"),
        text_size=(folder / "text.onnx").stat().st_size,
        merges_sha256=file_sha256(folder / "merges.txt"),
    )
