"""Runs a model as Taja serves it: tower, pooling, unit length, head, unit length. Reference for the Rust `clip` crate."""

import tomllib

import numpy as np
import onnxruntime
from PIL import Image, ImageOps
from safetensors.numpy import load_file
from tokenizers import Tokenizer


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def apply_head(vectors, head):
    """`head` holds any of center_in [in], weight [out, in], bias [out], and anchors: keys [n, in], values [n, out]."""
    head = {name: values.astype(np.float32) for name, values in head.items()}
    entering = vectors - head.get("center_in", 0)
    leaving = entering @ head["weight"].T if "weight" in head else entering
    leaving = leaving + head.get("bias", 0)
    if "anchor_keys" in head:
        leaving = leaving + head["anchor_mix"] * _softmax(head["anchor_scale"] * (entering @ head["anchor_keys"].T)) @ head["anchor_values"]
    return unit(leaving)


def _softmax(scores):
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def read_picture(path):
    """Upright, transparency on white."""
    picture = ImageOps.exif_transpose(Image.open(path))
    if picture.mode in ("RGBA", "LA", "P"):
        picture = on_background(picture.convert("RGBA"), Image.new("RGBA", picture.size, "white"))
    return picture.convert("RGB")


def on_background(picture, background):
    return Image.alpha_composite(background, picture).convert("RGB")


def square(picture, size):
    """Shorter side to `size`, then the middle square."""
    scale = size / min(picture.size)
    width, height = (size if side == min(picture.size) else int(side * scale) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return picture.crop((left, top, left + size, top + size))


class ImageTower:
    def __init__(self, path, preprocess, threads=0, input_name="pixel_values", output="image_embeds"):
        self.session = open_session(path, threads)
        self.size = preprocess["size"]
        self.mean, self.std = np.float32(preprocess["mean"]), np.float32(preprocess["std"])
        self.input_name, self.output = input_name, output

    def embed(self, pictures):
        """Unit vectors of pictures (an iterable of PIL images).

        One at a time: the int8 tower chooses its scales over the whole batch, so that a vector would depend on its
        neighbours (cosines down to 0.97 between one picture's vectors from two batches).
        """
        rows = [self.session.run([self.output], {self.input_name: self._pixels(picture)[None]})[0] for picture in pictures]
        return unit(np.concatenate(rows))

    def _pixels(self, picture):
        values = np.asarray(square(picture, self.size), np.float32) / 255
        return ((values - self.mean) / self.std).transpose(2, 0, 1)


class MeanPooledText:
    """A BERT-like text tower with a wordpiece tokenizer."""

    def __init__(self, path, tokenizer, context, threads=0):
        self.session = open_session(path, threads)
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(context)

    def embed(self, texts):
        """Unit vectors of texts: the mean over their tokens' last hidden states."""
        return unit(np.stack([self._hidden(text).mean(axis=0) for text in texts]))

    def _hidden(self, text):
        ids = np.array([self.tokenizer.encode(text).ids], np.int64)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        return self.session.run(None, inputs)[0][0]


def open_session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def read_manifest(path):
    return tomllib.loads(path.read_text(encoding="utf-8"))


def read_head(folder, table):
    return load_file(folder / table["head"]["file"]) if "head" in table else {}
