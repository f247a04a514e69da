"""The pictures that the default's text head is fitted on: named emoji of two makers, and crops of unnamed photographs."""

import hashlib
import json
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from packages import Package, unpack
from towers import on_background, square

FLUENT = Package("npm", "@lobehub/fluent-emoji-3d", "1.1.0", "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58")
GOOGLE = Package("npm", "emoji-datasource-google", "16.0.0", "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438")
PHOTOS = Package("npm", "@pictwo/images", "1.2.0", "9908ff60bd62b03529d46b1e45f7dad23fe1ffe406baf7a29f1154bb20964d5a")

# Record covers, film posters and drawn faces teach nothing of products.
LEFT_OUT_PHOTOS = {"album", "poster", "avatar"}
CROPS_PER_PHOTO = 3  # six gained 0.001 in the held-out figure
EMOJI_PIXELS, EMOJI_MARGIN = 256, 25
PHOTO_PIXELS = 720  # of the shorter side, before cropping


@dataclass(frozen=True)
class Emoji:
    name: str
    category: str
    fluent: Path
    google: Path


def list_emoji(cache):
    """Emoji that both makers drew, without flags, whose names are places."""
    fluent_folder = unpack(FLUENT, cache) / "package" / "assets"
    google_folder = unpack(GOOGLE, cache, lambda member: "sheets" not in member) / "package"
    fluent = {_plain(path.stem): path for path in sorted(fluent_folder.glob("*.webp"))}
    entries = json.loads((google_folder / "emoji.json").read_text(encoding="utf-8"))
    found = []
    for entry in entries:
        google = google_folder / "img" / "google" / "64" / entry["image"]
        drawn = fluent.get(_plain(google.stem))
        if drawn and google.exists() and entry["category"] != "Flags":
            found.append(Emoji(_name(entry), entry["category"], drawn, google))
    return found


def _plain(stem):
    """Makers differ in whether they write the variation selector."""
    return stem.replace("-fe0f", "")


def _name(entry):
    return (entry["name"] or entry["short_name"]).lower().replace("-", " ").replace("_", " ")


def open_emoji(path):
    """On white, with a margin."""
    side = EMOJI_PIXELS + 2 * EMOJI_MARGIN
    picture = Image.open(path).convert("RGBA").resize((EMOJI_PIXELS, EMOJI_PIXELS), Image.Resampling.BICUBIC)
    canvas = Image.new("RGBA", (side, side), (255, 255, 255, 0))
    canvas.paste(picture, (EMOJI_MARGIN, EMOJI_MARGIN))
    return on_background(canvas, Image.new("RGBA", (side, side), "white"))


def list_photos(cache):
    folder = unpack(PHOTOS, cache, lambda member: "/original/" in member) / "package" / "img"
    return [path for path in sorted(folder.glob("*/original/*")) if path.parts[-3] not in LEFT_OUT_PHOTOS]


def crop_photo(path):
    """Square crops of 224 pixels, the same at every run: their places follow from the file's name."""
    photo = _shrink(Image.open(path).convert("RGB"))
    return [square(_random_crop(photo, random.Random(_seed(path.name, index))), 224) for index in range(CROPS_PER_PHOTO)]


def _seed(name, index):
    return hashlib.sha256(f"{name}{index}".encode()).hexdigest()


def _shrink(photo):
    scale = PHOTO_PIXELS / min(photo.size)
    if scale >= 1:
        return photo
    return photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.BOX, reducing_gap=1.0)


def _random_crop(photo, draw):
    side = min(photo.size) * draw.uniform(0.25, 1.0)
    left, top = draw.uniform(0, photo.width - side), draw.uniform(0, photo.height - side)
    cropped = photo.crop((int(left), int(top), int(left + side), int(top + side)))
    return cropped.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if draw.random() < 0.5 else cropped
