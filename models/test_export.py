"""python -m unittest test_export: needs numpy, onnx and onnxruntime."""

import tempfile
import tomllib
import unittest
from pathlib import Path

import numpy as np
import onnxruntime

from checkpoints import to_openai_names
from clip_graph import ARCHITECTURES, infer_architecture
from make_random import random_weights, write_random
from model_folder import file_sha256

END = 49407


class RandomModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        write_random("tiny", 7, cls.folder / "first")
        write_random("tiny", 7, cls.folder / "second")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def run_tower(self, name, **inputs):
        return onnxruntime.InferenceSession(str(self.folder / "first" / name)).run(None, inputs)[0]

    def test_pictures_become_vectors_whatever_their_batch(self):
        pixels = np.random.default_rng(0).standard_normal((3, 3, 224, 224), dtype=np.float32)
        together = self.run_tower("image.onnx", pixel_values=pixels)
        alone = self.run_tower("image.onnx", pixel_values=pixels[:1])
        self.assertEqual(together.shape, (3, 64))
        np.testing.assert_allclose(together[:1], alone, atol=1e-5)

    def test_text_after_the_end_token_changes_nothing(self):
        padded = np.zeros((2, 77), np.int64)
        padded[:, :4] = [49406, 320, 1125, END]
        whole = self.run_tower("text.onnx", input_ids=padded)
        short = self.run_tower("text.onnx", input_ids=padded[:, :4])
        self.assertEqual(whole.shape, (2, 64))
        np.testing.assert_allclose(whole, short, atol=1e-5)

    def test_same_seed_gives_same_bytes_and_the_manifest_pins_them(self):
        for name, tower in (("image.onnx", "image"), ("text.onnx", "text")):
            first, second = (file_sha256(self.folder / run / name) for run in ("first", "second"))
            self.assertEqual(first, second)
            manifest = tomllib.loads((self.folder / "first" / "model.toml").read_text(encoding="utf-8"))
            self.assertEqual(manifest[tower]["sha256"], first)

    def test_the_shape_is_read_off_the_weights(self):
        tiny = ARCHITECTURES["tiny"]
        self.assertEqual(infer_architecture(random_weights(tiny, 0)), tiny)

    def test_newer_openclip_names_are_understood(self):
        self.assertEqual(list(to_openai_names({"text.ln_final.weight": 1, "visual.proj": 2})), ["ln_final.weight", "visual.proj"])


if __name__ == "__main__":
    unittest.main()
