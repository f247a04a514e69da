"""Makes two tiny model folders with seeded random weights, and what they answer, for the tests of `taja-clip`.

    python make_tiny.py        (models/goldens/requirements.txt says what to install)

`clip/`: a 32-pixel image tower and a text tower that is read at its end token, 12 dimensions.
`sentence/`: the same image tower with a mean to subtract, and a word-piece text tower of 8 dimensions whose states are
averaged and mapped to 12 by a head with anchors.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

HERE = Path(__file__).parent
GOLDENS = HERE.parents[4] / "models" / "goldens"
sys.path.insert(0, str(GOLDENS))
import reference  # noqa: E402

SIZE, PATCH, DIMENSION, WIDTH, STATE = 32, 8, 12, 24, 8
TEXTS = ["a photo of a cat", "red running shoes", "Ein schönes Sommerkleid", "半袖シャツ 😀", "", "word " * 200]
SENTENCES = ["a red shoe", "the blue summer dress", "unknownword", "", "red " * 40]
draw = np.random.Generator(np.random.PCG64(1))


def weight(name, *shape):
    return numpy_helper.from_array(draw.standard_normal(shape, dtype=np.float32), name)


def model(nodes, inputs, outputs, weights):
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return made.SerializeToString()


def ids_input(name):
    return helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])


def image_tower():
    nodes = [
        helper.make_node("Conv", ["pixel_values", "patches"], ["grid"], strides=[PATCH, PATCH]),
        helper.make_node("Tanh", ["grid"], ["active"]),
        helper.make_node("GlobalAveragePool", ["active"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "projection"], ["image_embeds"]),
    ]
    weights = [weight("patches", WIDTH, 3, PATCH, PATCH), weight("projection", WIDTH, DIMENSION)]
    pixels = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])
    embeds = helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT, ["batch", DIMENSION])
    return model(nodes, [pixels], [embeds], weights)


def clip_text_tower():
    """Each place knows all before it, and the place of the largest id is read: causal, as CLIP's is."""
    constants = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in (("buckets", 64), ("axis", 1))]
    nodes = [
        helper.make_node("Mod", ["input_ids", "buckets"], ["bucket"]),
        helper.make_node("Gather", ["table", "bucket"], ["tokens"]),
        helper.make_node("CumSum", ["tokens", "axis"], ["story"]),
        helper.make_node("Tanh", ["story"], ["states"]),
        helper.make_node("ArgMax", ["input_ids"], ["end"], axis=1, keepdims=1),
        helper.make_node("GatherND", ["states", "end"], ["read"], batch_dims=1),
        helper.make_node("MatMul", ["read", "projection"], ["text_embeds"]),
    ]
    weights = [weight("table", 64, WIDTH), weight("projection", WIDTH, DIMENSION), *constants]
    embeds = helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, ["batch", DIMENSION])
    return model(nodes, [ids_input("input_ids")], [embeds], weights)


def sentence_tower():
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
        helper.make_node("Gather", ["kinds", "token_type_ids"], ["kind"]),
        helper.make_node("Add", ["tokens", "kind"], ["typed"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["typed", "column"], ["seen"]),
        helper.make_node("ReduceSum", ["seen", "middle"], ["all"], keepdims=1),
        helper.make_node("Add", ["typed", "all"], ["mixed"]),
        helper.make_node("Tanh", ["mixed"], ["last_hidden_state"]),
    ]
    constants = [numpy_helper.from_array(np.array([value], np.int64), name) for name, value in (("last", -1), ("middle", 1))]
    weights = [weight("table", len(VOCABULARY), STATE), weight("kinds", 2, STATE), *constants]
    inputs = [ids_input(name) for name in ("input_ids", "attention_mask", "token_type_ids")]
    states = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", STATE])
    return model(nodes, inputs, [states], weights)


VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"a the red blue shoe dress summer win ##ter s ##hoes".split()]


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece({word: id for id, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def head():
    keys = reference.normalised(draw.standard_normal((5, STATE), dtype=np.float32)).astype(np.float16)
    return {
        "center_in": draw.standard_normal(STATE, dtype=np.float32) * np.float32(0.1),
        "weight": draw.standard_normal((DIMENSION, STATE), dtype=np.float32),
        "bias": draw.standard_normal(DIMENSION, dtype=np.float32) * np.float32(0.1),
        "anchor_keys": keys,
        "anchor_values": draw.standard_normal((5, DIMENSION), dtype=np.float32).astype(np.float16),
        "anchor_scale": np.array([7.5], np.float32),
        "anchor_mix": np.array([0.3], np.float32),
    }


def write(folder, files, manifest):
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    pins = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    (folder / "model.toml").write_text(manifest.format(**{name.split(".")[0].replace("-", "_"): pin for name, pin in pins.items()}))


COMMON = """name = "{name}"
title = "Random weights for tests ({name})"
dimension = 12
licence = "MIT"
source = "made by make_tiny.py"

[image]
file = "image.onnx"
sha256 = "{{image}}"
size_bytes = 0
input = "pixel_values"
output = "image_embeds"

[image.preprocess]
size = 32
resize = "shortest"
interpolation = "bicubic"
mean = [0.48145466, 0.4578275, 0.40821073]
std = [0.26862954, 0.26130258, 0.27577711]
"""

CLIP = """
[text]
file = "text.onnx"
sha256 = "{text}"
size_bytes = 0
output = "text_embeds"
context = 77
pooling = "none"

[text.tokenizer]
kind = "clip-bpe"
file = "merges.txt"
sha256 = "d308b7377a8ceaa9707a21614fe8c831b9196e197b7aeb69833359362907af02"
"""

SENTENCE = """
[image.head]
file = "image-head.safetensors"
sha256 = "{image_head}"

[text]
file = "text.onnx"
sha256 = "{text}"
size_bytes = 0
output = "last_hidden_state"
context = 16
pooling = "mean"

[text.tokenizer]
kind = "wordpiece"
file = "tokenizer.json"
sha256 = "{tokenizer}"

[text.head]
file = "text-head.safetensors"
sha256 = "{text_head}"

[[fetch]]
kind = "ignored by the crate"
"""


def run(tower, feeds):
    session = onnxruntime.InferenceSession(tower)
    return session.run(None, feeds)[0]


def image_outputs(tower):
    outputs = {}
    for path in sorted((GOLDENS / "pictures").iterdir()):
        pixels = reference.tensor(reference.crop(reference.open_upright(path), SIZE))
        outputs[path.name] = run(tower, {"pixel_values": pixels[None]})[0]
    return outputs


def clip_expected(images, text):
    tokenizer = reference.openai_tokenizer()
    texts = []
    for words in TEXTS:
        ids = reference.tokenize(tokenizer, words)
        padded = np.zeros((1, 77), np.int64)
        padded[0, : len(ids)] = ids
        texts.append([words, reference.unit(run(text, {"input_ids": padded})[0])])
    return {"pictures": {name: reference.unit(vector) for name, vector in images.items()}, "texts": texts}


def sentence_expected(images, text, tokenizer, image_head, text_head):
    tokenizer.enable_truncation(16)
    texts = []
    for words in SENTENCES:
        ids = np.array([tokenizer.encode(words).ids], np.int64)
        states = run(text, {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)})[0]
        texts.append([words, reference.unit(reference.apply_head(text_head, reference.normalised(states.mean(axis=0))))])
    pictures = {name: reference.unit(reference.apply_head(image_head, vector)) for name, vector in images.items()}
    return {"pictures": pictures, "texts": texts}


def main():
    image, text, sentence = image_tower(), clip_text_tower(), sentence_tower()
    write(HERE / "clip", {"image.onnx": image, "text.onnx": text}, COMMON.format(name="tiny-clip") + CLIP)
    tokenizer, text_head = wordpiece(), head()
    image_head = {"center_in": draw.standard_normal(DIMENSION, dtype=np.float32) * np.float32(0.2)}
    folder = HERE / "sentence"
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file(image_head, folder / "image-head.safetensors")
    save_file(text_head, folder / "text-head.safetensors")
    made = {name: (folder / name).read_bytes() for name in ("tokenizer.json", "image-head.safetensors", "text-head.safetensors")}
    write(folder, {"image.onnx": image, "text.onnx": sentence, **made}, COMMON.format(name="tiny-sentence") + SENTENCE)
    images = image_outputs(image)
    expected = {
        "clip": clip_expected(images, text),
        "sentence": sentence_expected(images, sentence, tokenizer, image_head, text_head),
    }
    (HERE / "expected.json").write_text(json.dumps(expected, separators=(",", ":")))


if __name__ == "__main__":
    main()
