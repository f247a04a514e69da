"""Tests of the items that make a model with random weights: real pip and Python, a small stand-in for make_random.py."""

import os
import unittest
from unittest import mock

import items
import random_model
from failure import SetupFailure
from store import file_sha256
from test_setup import CONTENT, InAFolder, make_wheel

MAKER = """
import pathlib, os, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--output") + 1])
data = pathlib.Path(os.environ["PYTHONPATH"]) / "demo/data.bin"
(folder / "image.onnx").write_bytes(data.read_bytes())
"""


class RandomModel(InAFolder):
    def setUp(self):
        super().setUp()
        self.models = self.project / "models"
        (self.models / "tokenizer").mkdir(parents=True)
        for name in random_model.SOURCES:
            (self.models / name).write_text(f"stands for {name}")
        (self.models / "make_random.py").write_text(MAKER)
        self.wheel = make_wheel(self.shelf, CONTENT)
        self.require(file_sha256(self.wheel))
        self.made = self.store.root / "models/random-vit-b-32"

    def require(self, sum):
        requirements = f"demo==1.0 --hash=sha256:{sum}\n"
        (self.models / random_model.REQUIREMENTS).write_text(requirements)

    def test_it_is_made_with_the_pinned_packages(self):
        items.random_b32(self.place({}))
        self.assertEqual((self.made / "image.onnx").read_bytes(), CONTENT)

    def test_a_second_run_needs_neither_registry_nor_maker(self):
        items.random_b32(self.place({}))
        self.wheel.unlink()
        with mock.patch("random_model.make", side_effect=AssertionError("made again")):
            items.random_b32(self.place({}))

    def test_a_lost_file_is_made_again_without_a_registry(self):
        items.random_b32(self.place({}))
        self.wheel.unlink()
        (self.made / "image.onnx").unlink()
        items.random_b32(self.place({}))
        self.assertTrue((self.made / "image.onnx").exists())

    def test_a_changed_source_makes_it_anew(self):
        items.random_b32(self.place({}))
        (self.models / "make_random.py").write_text(MAKER + '(folder / "text.onnx").touch()\n')
        items.random_b32(self.place({}))
        self.assertTrue((self.made / "text.onnx").exists())

    def test_a_package_with_another_sum_is_refused(self):
        self.require("0" * 64)
        with self.assertRaisesRegex(SetupFailure, random_model.REQUIREMENTS):
            items.random_b32(self.place({}))
        self.assertFalse((self.store.root / "python").exists())

    def test_a_maker_that_fails_leaves_nothing(self):
        (self.models / "make_random.py").write_text(MAKER + "sys.exit(1)\n")
        with self.assertRaisesRegex(SetupFailure, "ViT-B-32 could not be made"):
            items.random_b32(self.place({}))
        self.assertFalse(self.made.exists())

    def test_a_python_without_pins_is_told_so(self):
        with mock.patch.object(random_model, "NEWEST", (3, 0)), self.assertRaisesRegex(SetupFailure, "CPython 3.10 to"):
            items.random_b32(self.place({}))

    def test_a_model_named_by_the_environment_is_left_to_its_owner(self):
        with mock.patch.dict(os.environ, {"TAJA_TEST_B32": str(self.models)}):
            items.random_b32(self.place({}))
        self.assertFalse(self.made.exists())


if __name__ == "__main__":
    unittest.main()
