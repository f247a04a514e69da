"""Reads CLIP checkpoints into numpy weights under OpenAI's parameter names.

Three layouts are known: OpenAI's own (`.pt` TorchScript archive or state dict), OpenCLIP's (the same names,
in newer models with `text.` before those of the text tower) and transformers' `CLIPModel`.
Safetensors files need no torch; `.pt`, `.pth` and `.bin` files do.
"""

import re
from pathlib import Path

import numpy as np

# From a transformers name to OpenAI's, after the layers' own names were put right.
_TRANSFORMERS_NAMES = {
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.": "visual.ln_pre.",
    "vision_model.post_layernorm.": "visual.ln_post.",
    "vision_model.encoder.layers.": "visual.transformer.resblocks.",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.encoder.layers.": "transformer.resblocks.",
    "text_model.final_layer_norm.": "ln_final.",
    ".self_attn.out_proj.": ".attn.out_proj.",
    ".layer_norm1.": ".ln_1.",
    ".layer_norm2.": ".ln_2.",
    ".mlp.fc1.": ".mlp.c_fc.",
    ".mlp.fc2.": ".mlp.c_proj.",
}
_LAYER = re.compile(r"(.*\.resblocks\.\d+)\.self_attn\.q_proj\.(weight|bias)")


def read_checkpoint(path):
    """Weights by OpenAI's names, as float32 numpy arrays."""
    return to_openai_names(_read_tensors(Path(path)))


def to_openai_names(weights):
    if any(name.startswith("vision_model.") for name in weights):
        return _from_transformers(weights)
    return _from_openclip(weights)


def _read_tensors(path):
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return {name: values.astype(np.float32) for name, values in load_file(path).items()}
    return {name: values.detach().float().cpu().numpy() for name, values in _read_torch(path).items() if hasattr(values, "detach")}


def _read_torch(path):
    import torch

    try:
        return torch.jit.load(str(path), map_location="cpu").state_dict()
    except RuntimeError:  # not a TorchScript archive: a pickled state dict, from which only tensors are taken
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        return _without_module_prefix(loaded.get("state_dict", loaded))


def _without_module_prefix(state):
    return {name.removeprefix("module."): values for name, values in state.items()}


def _from_openclip(weights):
    """OpenCLIP's names are OpenAI's, but for the `text.` of its newer models."""
    return {name.removeprefix("text."): values for name, values in weights.items()}


def _from_transformers(weights):
    renamed = {_rename(name): values for name, values in weights.items() if not name.endswith("position_ids")}
    renamed["visual.proj"] = renamed.pop("visual_projection.weight").T
    renamed["text_projection"] = renamed.pop("text_projection.weight").T
    for layer, kind in [match.groups() for match in map(_LAYER.fullmatch, list(renamed)) if match]:
        parts = [renamed.pop(f"{layer}.self_attn.{part}_proj.{kind}") for part in "qkv"]
        renamed[f"{layer}.attn.in_proj_{kind}"] = np.concatenate(parts)
    return renamed


def _rename(name):
    for theirs, ours in _TRANSFORMERS_NAMES.items():
        name = name.replace(theirs, ours)
    return name
