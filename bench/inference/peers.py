"""From the bytes of a JPEG file to a vector, as Python services do it: the medians that Taja's are held against.

    python -m venv env && env/bin/pip install --no-deps -r requirements.txt
    env/bin/python torch_without_cuda.py env/lib/python3.*/site-packages/torch
    env/bin/python peers.py MODEL_FOLDER PICTURE.jpg

MODEL_FOLDER holds an image.onnx in 32-bit floats as models/export.py writes it. All decode, resize and cut with Pillow:
  torch        the same architecture with the same weights in PyTorch, and torchvision's arithmetic
  onnxruntime  the graph in ONNX Runtime, one picture at a time
  fastembed    the graph in ONNX Runtime, pictures in batches and numpy's arithmetic, as fastembed's ImageEmbedding
"""

import io
import os
import statistics
import sys
import time

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # torch's threads that wait for each other take no processor time
sys.setdlopenflags(os.RTLD_LAZY | os.RTLD_GLOBAL)  # nothing of CUDA is looked up before it is called

import numpy as np
import onnx
import onnxruntime
import torch
from PIL import Image
from torch.nn import functional as F

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
HEAD_WIDTH = 64
SECONDS = 10
BATCH = 8


class TorchTower:
    """CLIP's image tower from the weights of an exported graph."""

    def __init__(self, path):
        initialisers = onnx.load(path).graph.initializer
        self.weights = {one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy()) for one in initialisers}
        self.width, _, self.patch, _ = self.weights["visual.conv1.weight"].shape
        self.layers = sum(name.endswith("ln_1.weight") for name in self.weights)

    def __call__(self, pixels):
        w = self.weights
        x = F.conv2d(pixels, w["visual.conv1.weight"], stride=self.patch).flatten(2).transpose(1, 2)
        first = w["visual.class_embedding"].expand(x.shape[0], 1, -1)
        x = torch.cat([first, x], dim=1) + w["visual.positional_embedding"]
        x = self.norm(x, "visual.ln_pre")
        for layer in range(self.layers):
            block = f"visual.transformer.resblocks.{layer}"
            x = x + self.attention(self.norm(x, f"{block}.ln_1"), f"{block}.attn")
            hidden = self.linear(self.norm(x, f"{block}.ln_2"), f"{block}.mlp.c_fc.weight", f"{block}.mlp.c_fc.bias")
            hidden = hidden * torch.sigmoid(1.702 * hidden)
            x = x + self.linear(hidden, f"{block}.mlp.c_proj.weight", f"{block}.mlp.c_proj.bias")
        return self.norm(x[:, 0], "visual.ln_post") @ w["visual.proj"]

    def attention(self, x, name):
        batch, length, width = x.shape
        joined = self.linear(x, f"{name}.in_proj_weight", f"{name}.in_proj_bias")
        split = joined.reshape(batch, length, 3, width // HEAD_WIDTH, HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*split).transpose(1, 2).reshape(batch, length, width)
        return self.linear(mixed, f"{name}.out_proj.weight", f"{name}.out_proj.bias")

    def linear(self, x, weight, bias):
        return F.linear(x, self.weights[f"{weight}_t"].T, self.weights[bias])

    def norm(self, x, name):
        return F.layer_norm(x, (self.width,), self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], 1e-5)


def square(jpeg, size):
    picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
    scale = size / min(picture.size)
    wide, high = (max(size, int(side * scale)) for side in picture.size)
    picture = picture.resize((wide, high), Image.Resampling.BICUBIC)
    left, top = round((wide - size) / 2), round((high - size) / 2)
    return picture.crop((left, top, left + size, top + size))


def for_torch(jpeg, size):
    pixels = torch.from_numpy(np.array(square(jpeg, size))).permute(2, 0, 1).contiguous().float().div(255)
    return (pixels - torch.from_numpy(MEAN)[:, None, None]) / torch.from_numpy(STD)[:, None, None]


def for_numpy(jpeg, size):
    pixels = np.asarray(square(jpeg, size), np.float32) / 255
    return ((pixels - MEAN) / STD).transpose(2, 0, 1)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def peers(folder):
    graph = os.path.join(folder, "image.onnx")
    options = onnxruntime.SessionOptions()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    size = given.shape[3]
    tower = TorchTower(graph)

    def torch_fp32(jpegs):
        with torch.inference_mode():
            return unit(tower(torch.stack([for_torch(jpeg, size) for jpeg in jpegs])).numpy())

    def in_python(jpegs):
        run = lambda jpeg: session.run(None, {given.name: for_numpy(jpeg, size)[None]})[0]
        return unit(np.concatenate([run(jpeg) for jpeg in jpegs]))

    def fastembed(jpegs):
        return unit(session.run(None, {given.name: np.stack([for_numpy(jpeg, size) for jpeg in jpegs])})[0])

    return {"torch fp32": torch_fp32, "onnxruntime": in_python, "fastembed": fastembed}


def timed(work, pictures):
    """Milliseconds per picture: the median, and the processor time of all threads, which others on the machine do not change
    much."""
    work()
    taken, end, processor = [], time.perf_counter() + SECONDS, time.process_time()
    while time.perf_counter() < end or len(taken) < 3:
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    processor = (time.process_time() - processor) / len(taken)
    return f"median {statistics.median(taken) * 1e3 / pictures:7.1f} ms, processor time {processor * 1e3 / pictures:7.1f} ms"


def main():
    folder, picture = sys.argv[1:3]
    with open(picture, "rb") as file:
        jpeg = file.read()
    print(f"{folder}, {picture}, torch {torch.__version__} on {torch.get_num_threads()} threads,"
          f" onnxruntime {onnxruntime.__version__}")
    expected = None
    for name, peer in peers(folder).items():
        vector = peer([jpeg])[0]
        expected = vector if expected is None else expected
        alone, together = timed(lambda: peer([jpeg]), 1), timed(lambda: peer([jpeg] * BATCH), BATCH)
        print(f"{name:12} alone {alone}; {BATCH} together, each {together}; cosine {vector @ expected:.6f}", flush=True)


if __name__ == "__main__":
    main()
