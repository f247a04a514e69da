"""PyTorch's CLIP against the ONNX graphs, on a tiny model; runs where PyTorch is, as in the virtual environment."""

import importlib.util
import sys
import tempfile
import unittest
from pathlib import Path

NEEDED = ("torch", "onnx", "onnxruntime", "tokenizers", "PIL")
MODELS = Path(__file__).resolve().parents[2] / "models"
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]


@unittest.skipIf(MISSING, f"not here: {', '.join(MISSING)}")
class Parity(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        sys.path.insert(0, str(MODELS))
        cls.addClassCleanup(sys.path.remove, str(MODELS))
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)

    def test_both_runtimes_make_the_same_vectors_with_either_gelu(self) -> None:
        import make_random

        from service import clip, convert
        from service.tokens import Tokenizer

        for quick_gelu in (True, False):
            with self.subTest(quick_gelu=quick_gelu):
                made, out = self.folder / f"onnx-{quick_gelu}", self.folder / f"torch-{quick_gelu}"
                make_random.write_random("tiny", 3, made, quick_gelu)
                clip.save(convert.build(made), out)
                loaded = clip.load(out)
                self.assertEqual(loaded.shape.quick_gelu, quick_gelu)
                found = convert.parity(loaded, made, Tokenizer(made))
                self.assertGreater(min(found.values()), 0.99999)

    def test_tokens_are_clip_s(self) -> None:
        from service.tokens import Tokenizer

        tokenizer = Tokenizer(MODELS / "tokenizer")
        tokens = tokenizer.encode(["a photo of a cat", "A  CAT's"])
        self.assertEqual(tokens[0].tolist(), [49406, 320, 1125, 539, 320, 2368, 49407])
        self.assertEqual(tokens[1].tolist(), [49406, 320, 2368, 568, 49407, 0, 0])
        self.assertEqual(tokenizer.encode(["word " * 100]).shape[1], 77)

    def test_a_picture_becomes_a_square(self) -> None:
        import io

        from PIL import Image

        from service.pictures import preprocess

        for size in ((300, 200), (200, 300), (10, 10)):
            written = io.BytesIO()
            Image.new("RGB", size, (255, 255, 255)).save(written, "JPEG")
            pixels = preprocess(written.getvalue(), 224)
            self.assertEqual(pixels.shape, (3, 224, 224))
            self.assertAlmostEqual(float(pixels[0].mean()), 1.93, places=1)
