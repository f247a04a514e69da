"""Makes the pictures of this folder and, beside each, what Pillow reads from it as RGB (binary PPM).

Run with Pillow 12 or newer and NumPy: python make.py
"""

import io
import pathlib

import numpy as np
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT = 47, 33  # odd, so that chroma subsampling has an edge


def scene() -> np.ndarray:
    """A smooth gradient with a disc and stripes: soft and hard edges, all hues."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    red = 255 * x / WIDTH
    green = 255 * y / HEIGHT
    blue = 127 + 127 * np.sin(x / 5) * np.cos(y / 4)
    rgb = np.stack([red, green, blue], axis=-1)
    disc = (x - 30) ** 2 + (y - 12) ** 2 < 64
    rgb[disc] = (230, 40, 30)
    rgb[24:28, 4:20] = (10, 10, 10)
    return rgb.clip(0, 255).astype(np.uint8)


def keep(name: str, data: bytes) -> None:
    (HERE / name).write_bytes(data)
    seen = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    (HERE / f"{name}.ppm").write_bytes(b"P6 %d %d 255\n" % seen.size + seen.tobytes())


def save(name: str, image: Image.Image, **options) -> None:
    out = io.BytesIO()
    image.save(out, **options)
    keep(name, out.getvalue())


rgb = Image.fromarray(scene())
y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
alpha = Image.fromarray((x * 255 // WIDTH).astype(np.uint8))
with_alpha = rgb.copy()
with_alpha.putalpha(alpha)
grey = rgb.convert("L")

save("baseline-420.jpg", rgb, format="JPEG", quality=85, subsampling="4:2:0")
save("baseline-422.jpg", rgb, format="JPEG", quality=85, subsampling="4:2:2")
save("baseline-444.jpg", rgb, format="JPEG", quality=95, subsampling="4:4:4")
save("progressive.jpg", rgb, format="JPEG", quality=80, progressive=True)
save("grey.jpg", grey, format="JPEG", quality=85)
save("cmyk.jpg", rgb.convert("CMYK"), format="JPEG", quality=90)
for value in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = value
    save(f"orientation-{value}.jpg", rgb, format="JPEG", quality=90, exif=exif)
    if value == 6:
        save("orientation-6.png", rgb, format="PNG", exif=exif)
        save("orientation-6.webp", rgb, format="WEBP", lossless=True, exif=exif)

save("rgb.png", rgb, format="PNG")
save("rgba.png", with_alpha, format="PNG")
save("grey.png", grey, format="PNG")
save("grey-alpha.png", Image.merge("LA", (grey, alpha)), format="PNG")
save("one-bit.png", grey.point(lambda v: 255 * (v > 99)).convert("1"), format="PNG")
save("palette.png", rgb.quantize(16), format="PNG")
save("palette-transparent.png", rgb.quantize(16), format="PNG", transparency=3)
save("animated.png", rgb, format="PNG", save_all=True, append_images=[ImageOps.invert(rgb)], duration=50)

save("lossy.webp", rgb, format="WEBP", quality=80)
save("lossless.webp", rgb, format="WEBP", lossless=True)
save("alpha.webp", with_alpha, format="WEBP", lossless=True, exact=True)
save("animated.webp", rgb, format="WEBP", lossless=True, save_all=True, append_images=[ImageOps.invert(rgb)])

save("still.gif", rgb.quantize(64), format="GIF")
save("transparent.gif", rgb.quantize(16), format="GIF", transparency=3)
save("animated.gif", rgb, format="GIF", save_all=True, append_images=[ImageOps.invert(rgb)], duration=50)

save("rgb.bmp", rgb, format="BMP")
save("palette.bmp", rgb.quantize(16), format="BMP")
save("grey.bmp", grey, format="BMP")
