"""Builds the two ONNX graphs of a CLIP model from plain numpy weights.

Weights carry OpenAI's parameter names (`visual.conv1.weight`, `token_embedding.weight`, ...);
`checkpoints.py` renames other layouts to them. Needs only numpy and onnx.

Image graph: pixel_values [batch, 3, S, S] float32 -> image_embeds [batch, D], not normalised.
Text graph: input_ids [batch, sequence] int64, sequence <= context -> text_embeds [batch, D], not normalised.
The text is read up to its end token (the largest id), so a shorter, unpadded sequence gives the same vector.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17  # the first with LayerNormalization
LAYER_NORM_EPSILON = 1e-5
PROTOBUF_LIMIT_BYTES = 2**31 - 1
MASKED = -1e9  # finite: minus infinity added to itself or multiplied by nought would be NaN


@dataclass(frozen=True)
class Tower:
    width: int
    layers: int
    heads: int


@dataclass(frozen=True)
class Architecture:
    """The shape of one CLIP. `size` and `patch` are pixels, `context` tokens."""

    size: int
    patch: int
    image: Tower
    text: Tower
    dimension: int
    context: int = 77
    vocabulary: int = 49408


_TEXT_B = Tower(512, 12, 8)
_TEXT_L = Tower(768, 12, 12)

ARCHITECTURES = {
    "ViT-B-32": Architecture(224, 32, Tower(768, 12, 12), _TEXT_B, 512),
    "ViT-B-16": Architecture(224, 16, Tower(768, 12, 12), _TEXT_B, 512),
    "ViT-L-14": Architecture(224, 14, Tower(1024, 24, 16), _TEXT_L, 768),
    "ViT-L-14-336": Architecture(336, 14, Tower(1024, 24, 16), _TEXT_L, 768),
    # No published model has this shape: it makes files of some 13 MB for tests.
    "tiny": Architecture(224, 32, Tower(64, 2, 1), Tower(64, 2, 1), 64),
}


def infer_architecture(weights):
    """Reads the shape off the weights; every ViT CLIP has 64 values per attention head."""
    width, _, patch, _ = weights["visual.conv1.weight"].shape
    grid = round((weights["visual.positional_embedding"].shape[0] - 1) ** 0.5)
    context, text_width = weights["positional_embedding"].shape
    return Architecture(
        size=grid * patch,
        patch=patch,
        image=_infer_tower(weights, "visual.transformer", width),
        text=_infer_tower(weights, "transformer", text_width),
        dimension=weights["text_projection"].shape[1],
        context=context,
        vocabulary=weights["token_embedding.weight"].shape[0],
    )


def _infer_tower(weights, prefix, width):
    blocks = {name.split(".resblocks.")[1].split(".")[0] for name in weights if name.startswith(f"{prefix}.resblocks.")}
    return Tower(width, len(blocks), width // 64)


def build_image_graph(weights, arch, quick_gelu):
    graph = _Graph(weights, quick_gelu)
    grid = arch.size // arch.patch
    patches = graph.op(
        "Conv", "pixel_values", graph.weight("visual.conv1.weight"), strides=[arch.patch] * 2, kernel_shape=[arch.patch] * 2
    )
    rows = graph.op("Reshape", patches, graph.ints([0, arch.image.width, grid * grid]))
    rows = graph.op("Transpose", rows, perm=[0, 2, 1])
    x = graph.op("Concat", graph.class_token(rows, arch.image.width), rows, axis=1)
    x = graph.op("Add", x, graph.weight("visual.positional_embedding"))
    x = graph.layer_norm(x, "visual.ln_pre")
    x = graph.transformer(x, "visual.transformer", arch.image)
    x = graph.op("Gather", x, graph.scalar(0), axis=1)
    x = graph.layer_norm(x, "visual.ln_post")
    graph.op("MatMul", x, graph.weight("visual.proj"), output="image_embeds")
    pixels = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, arch.size, arch.size])
    return graph.model("clip-image", pixels, "image_embeds", arch.dimension)


def build_text_graph(weights, arch, quick_gelu):
    graph = _Graph(weights, quick_gelu)
    length = graph.op("Shape", "input_ids", start=1, end=2)
    x = graph.op("Gather", graph.weight("token_embedding.weight"), "input_ids", axis=0)
    positions = graph.op("Slice", graph.weight("positional_embedding"), graph.ints([0]), length, graph.ints([0]))
    x = graph.op("Add", x, positions)
    x = graph.transformer(x, "transformer", arch.text, mask=graph.causal_mask(arch.context, length))
    x = graph.layer_norm(x, "ln_final")
    x = graph.take_end_token(x)
    graph.op("MatMul", x, graph.weight("text_projection"), output="text_embeds")
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])
    return graph.model("clip-text", ids, "text_embeds", arch.dimension)


class _Graph:
    """Nodes and initialisers in the making; every method returns the name of the value it adds."""

    def __init__(self, weights, quick_gelu):
        self.weights = weights
        self.quick_gelu = quick_gelu
        self.nodes = []
        self.initialisers = {}

    def op(self, kind, *inputs, output=None, **attributes):
        output = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name, values):
        if name not in self.initialisers:
            self.initialisers[name] = numpy_helper.from_array(np.array(values, order="C"), name)
        return name

    def weight(self, name, transpose=False):
        values = self.weights[name].astype(np.float32)
        return self.constant(name + "_t", values.T) if transpose else self.constant(name, values)

    def ints(self, values):
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def scalar(self, value):
        kind = np.int64 if isinstance(value, int) else np.float32
        return self.constant(f"scalar_{value}", np.array(value, kind))

    def class_token(self, rows, width):
        batch = self.op("Shape", rows, start=0, end=1)
        shape = self.op("Concat", batch, self.ints([1, width]), axis=0)
        return self.op("Expand", self.weight("visual.class_embedding"), shape)

    def layer_norm(self, x, name):
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=LAYER_NORM_EPSILON)

    def linear(self, x, weight, bias):
        return self.op("Add", self.op("MatMul", x, self.weight(weight, transpose=True)), self.weight(bias))

    def transformer(self, x, prefix, tower, mask=None):
        for layer in range(tower.layers):
            block = f"{prefix}.resblocks.{layer}"
            x = self.op("Add", x, self.attention(self.layer_norm(x, f"{block}.ln_1"), f"{block}.attn", tower, mask))
            x = self.op("Add", x, self.feed_forward(self.layer_norm(x, f"{block}.ln_2"), f"{block}.mlp"))
        return x

    def attention(self, x, name, tower, mask):
        queries, keys, values = self.heads(x, name, tower)
        scaled = self.op("Mul", queries, self.scalar(float((tower.width // tower.heads) ** -0.5)))
        scores = self.op("MatMul", scaled, self.op("Transpose", keys, perm=[0, 1, 3, 2]))
        if mask:
            scores = self.op("Add", scores, mask)
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), values)
        joined = self.op("Reshape", self.op("Transpose", mixed, perm=[0, 2, 1, 3]), self.ints([0, 0, tower.width]))
        return self.linear(joined, f"{name}.out_proj.weight", f"{name}.out_proj.bias")

    def heads(self, x, name, tower):
        """Queries, keys and values, each [batch, heads, sequence, 64]."""
        joined = self.linear(x, f"{name}.in_proj_weight", f"{name}.in_proj_bias")
        split = self.op("Reshape", joined, self.ints([0, 0, 3, tower.heads, tower.width // tower.heads]))
        split = self.op("Transpose", split, perm=[2, 0, 3, 1, 4])
        return [self.op("Gather", split, self.scalar(part), axis=0) for part in range(3)]

    def feed_forward(self, x, name):
        hidden = self.linear(x, f"{name}.c_fc.weight", f"{name}.c_fc.bias")
        return self.linear(self.gelu(hidden), f"{name}.c_proj.weight", f"{name}.c_proj.bias")

    def gelu(self, x):
        if self.quick_gelu:
            return self.op("Mul", x, self.op("Sigmoid", self.op("Mul", x, self.scalar(1.702))))
        erf = self.op("Erf", self.op("Div", x, self.scalar(float(2**0.5))))
        return self.op("Mul", self.op("Mul", x, self.op("Add", erf, self.scalar(1.0))), self.scalar(0.5))

    def causal_mask(self, context, length):
        mask = np.triu(np.full((context, context), MASKED, np.float32), k=1)
        both = self.op("Concat", length, length, axis=0)
        return self.op("Slice", self.constant("causal_mask", mask), self.ints([0, 0]), both, self.ints([0, 1]))

    def take_end_token(self, x):
        end = self.op("ArgMax", "input_ids", axis=1, keepdims=1)
        return self.op("GatherND", x, end, batch_dims=1)

    def model(self, name, graph_input, output, dimension):
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", dimension])
        graph = helper.make_graph(self.nodes, name, [graph_input], [result], list(self.initialisers.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="taja")
        model.ir_version = 8  # what OPSET came with: older runtimes read it too
        if model.ByteSize() > PROTOBUF_LIMIT_BYTES:
            raise ValueError(f"{name} exceeds the two gigabytes an ONNX file can hold")
        onnx.checker.check_model(model)
        return model
