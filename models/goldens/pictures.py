"""Makes the pictures of the golden set from photographs that ride in scikit-image and scikit-learn, and generated ones."""

from pathlib import Path

import numpy as np
import skimage.data
import sklearn.datasets
from PIL import Image

LANCZOS = Image.Resampling.LANCZOS
UPSIDE_DOWN, TURNED_RIGHT, TURNED_LEFT, MIRRORED = 3, 6, 8, 2


def photographs():
    china, flower = sklearn.datasets.load_sample_images().images
    arrays = {
        "astronaut": skimage.data.astronaut(),
        "chelsea": skimage.data.chelsea(),
        "coffee": skimage.data.coffee(),
        "rocket": skimage.data.rocket(),
        "camera": skimage.data.camera(),
        "coins": skimage.data.coins(),
        "brick": skimage.data.brick(),
        "grass": skimage.data.grass(),
        "hubble": skimage.data.hubble_deep_field(),
        "motorcycle": skimage.data.stereo_motorcycle()[0],
        "china": china,
        "flower": flower,
    }
    return {name: Image.fromarray(np.ascontiguousarray(array)) for name, array in arrays.items()}


def _fit(image, width, height):
    """Cuts the middle to the aspect ratio of width x height, then scales to it."""
    scale = max(width / image.width, height / image.height)
    w, h = min(image.width, width / scale), min(image.height, height / scale)
    x, y = max(0, (image.width - w) / 2), max(0, (image.height - h) / 2)
    return image.resize((width, height), LANCZOS, box=(x, y, min(image.width, x + w), min(image.height, y + h)))


def _alpha(image):
    """Fades out towards the right, over pixels whose colour stays hidden behind the alpha."""
    fade = np.linspace(255, 0, image.width).astype(np.uint8)
    image = image.convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(fade, (image.height, 1))))
    return image


def _stripes(width, height):
    """A chirp: every frequency up to the one that aliases, in colours."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    phase = np.stack([x**2 / (2.0 * width), y**2 / (2.0 * height), (x + y) ** 2 / (4.0 * width)], axis=-1)
    return Image.fromarray((127.5 + 127.5 * np.sin(np.pi * phase)).astype(np.uint8))


def _noise(width, height, seed):
    generator = np.random.Generator(np.random.PCG64(seed))
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def lossless(photo):
    """Name and picture of those whose decoded pixels are the same everywhere."""
    return {
        "landscape": _fit(photo["coffee"], 300, 200),
        "portrait": _fit(photo["astronaut"], 180, 270),
        "exact-size": _fit(photo["chelsea"], 224, 224),
        "one-pixel-off": _fit(photo["flower"], 225, 224),
        "odd-remainder": _fit(photo["china"], 271, 187),
        "thumbnail": _fit(photo["motorcycle"], 61, 40),
        "tiny": _fit(photo["flower"], 7, 5),
        "single-pixel": Image.new("RGB", (1, 1), (200, 30, 90)),
        "banner": _fit(photo["china"], 640, 48),
        "needle": _fit(photo["rocket"], 3, 900),
        "grey": _fit(photo["camera"], 260, 340).convert("L"),
        "grey-alpha": _alpha(_fit(photo["coins"], 200, 160)).convert("LA"),
        "alpha": _alpha(_fit(photo["chelsea"], 210, 150)),
        "palette": _fit(photo["grass"].convert("RGB"), 320, 200).quantize(32),
        "bilevel": _fit(photo["brick"], 500, 300).convert("1"),
        "stripes": _stripes(320, 240).quantize(64),
        "noise": _noise(120, 90, 7),
        "turned-right": _fit(photo["rocket"], 250, 170),
        "few-colours-wide": _fit(photo["motorcycle"], 450, 220).quantize(48),
        "few-colours-tall": _fit(photo["flower"], 230, 400).quantize(48),
        "few-colours-sky": _fit(photo["hubble"].convert("RGB"), 300, 300).quantize(32),
        "small-portrait": _fit(photo["astronaut"], 96, 128),
        "small-landscape": _fit(photo["china"], 150, 100),
    }


def photographic(photo):
    """Name, picture, JPEG quality and EXIF orientation of those whose decoders may differ by a level or two."""
    return {
        "photo-large": (_fit(photo["astronaut"], 1600, 1200), 30, None),
        "photo-wide": (_fit(photo["hubble"], 1400, 500), 35, None),
        "photo-tall": (_fit(photo["rocket"], 420, 1100), 50, None),
        "photo-square": (_fit(photo["coffee"], 800, 800), 40, None),
        "photo-grey": (_fit(photo["camera"], 900, 700).convert("L"), 40, None),
        "photo-upside-down": (_fit(photo["chelsea"], 500, 350), 60, UPSIDE_DOWN),
        "photo-turned-right": (_fit(photo["china"], 640, 427), 55, TURNED_RIGHT),
        "photo-turned-left": (_fit(photo["flower"], 640, 427), 55, TURNED_LEFT),
        "photo-mirrored": (_fit(photo["motorcycle"], 700, 480), 45, MIRRORED),
        "photo-subsampled": (_fit(photo["flower"], 333, 251), 85, None),
    }


def write_pictures(folder):
    folder.mkdir(parents=True, exist_ok=True)
    photo = photographs()
    for name, image in lossless(photo).items():
        exif = _exif(TURNED_RIGHT) if name == "turned-right" else None
        kwargs = {"exif": exif} if exif else {}
        image.save(folder / f"{name}.png", optimize=True, **kwargs)
    for name, (image, quality, orientation) in photographic(photo).items():
        kwargs = {"exif": _exif(orientation)} if orientation else {}
        image.save(folder / f"{name}.jpg", quality=quality, optimize=True, **kwargs)
    return sorted(folder.iterdir(), key=lambda path: path.name)


def _exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


if __name__ == "__main__":
    for path in write_pictures(Path(__file__).parent / "pictures"):
        print(path.name, path.stat().st_size)
