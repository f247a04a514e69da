"""Makes the sample shop: a catalogue to import, its pictures, and pictures and a video to search with."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

from failure import SetupFailure

FFMPEG_SECONDS = 60
SIDE = 256  # of the package's pictures, pixels

# What a customer might send: the thing from another side, on another ground, as a photograph (JPEG) or a video.
# name -> (picture, ground, turn in degrees)
PICTURE_QUERIES = {
    "guitar": ("🎸", "0x6b705c", 25),
    "high-heel": ("👠", "0xd9cbb6", -12),
    "red-apple": ("🍎", "0x8ecae6", 15),
    "chair": ("🪑", "0xa3b18a", 8),
    "backpack": ("🎒", "0xcdb4db", -10),
}
VIDEO_QUERIES = {"teddy-bear": ("🧸", "0xe9d8a6"), "bicycle": ("🚲", "0xadb5bd")}

SOURCE = """\
# Where the sample shop comes from

The pictures are Microsoft's Fluent Emoji (3D style), MIT licence, Copyright (c) Microsoft Corporation, from the npm
package `{package}` (MIT licence), put on a white ground with ffmpeg.
The pictures and videos in `queries` are made from them with ffmpeg.
Names, prices and descriptions are Taja's own and made up.
"""


def build(archive, package, products_file, ffmpeg, folder):
    products = list(read_products(products_file.read_text(encoding="utf-8")))
    cut_out = folder / "cut-out"
    cut_out.mkdir()
    _copy_pictures(archive, {picture_name(product["emoji"]) for product in products}, cut_out)
    _put_on_white(ffmpeg, cut_out, folder / "images")
    lines = [json.dumps(_as_import(product), ensure_ascii=False) for product in products]
    (folder / "catalogue.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "SOURCE.md").write_text(SOURCE.format(package=package), encoding="utf-8")
    _make_queries(ffmpeg, cut_out, folder / "queries")
    shutil.rmtree(cut_out)


def read_products(text):
    """Rows of products.txt in order, each with the category that stands above it."""
    category = None
    for line in text.splitlines():
        if line.startswith("["):
            category = line.strip("[]")
        elif line and not line.startswith("#"):
            emoji, name, price, colour, description = (cell.strip() for cell in line.split("|"))
            yield {
                "emoji": emoji,
                "name": name,
                "price": float(price),
                "color": None if colour == "-" else colour,
                "description": description,
                "category": category,
            }


def picture_name(emoji):
    """Pictures are named by code points: 👟 is 1f45f."""
    return "-".join(f"{ord(letter):04x}" for letter in emoji) + ".webp"


def _as_import(product):
    fields = {key: value for key, value in product.items() if key != "emoji" and value is not None}
    return {**fields, "images": [f"images/{Path(picture_name(product['emoji'])).stem}.jpg"]}


def _put_on_white(ffmpeg, cut_out, images):
    """The package's pictures are cut out; a shop's stand on white. All in one run of ffmpeg, as numbered frames."""
    pictures = sorted(cut_out.iterdir())
    frames = cut_out.parent / "frames"
    frames.mkdir()
    for number, picture in enumerate(pictures):
        shutil.copy(picture, frames / f"{number}.webp")
    over_white = "[0][1]overlay=shortest=1:format=auto"
    _run(ffmpeg, frames / "%d.webp", f"color=white:s={SIDE}x{SIDE}", over_white, frames / "%d.jpg", "-q:v", "2", "-start_number", "0")
    images.mkdir()
    for number, picture in enumerate(pictures):
        (frames / f"{number}.jpg").rename(images / f"{picture.stem}.jpg")
    shutil.rmtree(frames)


def _copy_pictures(archive, names, folder):
    """One pass over the tarball, which can only be read from its beginning."""
    missing = set(names)
    with tarfile.open(archive) as tarball:
        for member in tarball:
            name = member.name.rpartition("/")[2]
            if member.isfile() and name in missing:
                with open(folder / name, "wb") as copy:
                    shutil.copyfileobj(tarball.extractfile(member), copy)
                missing.remove(name)
    if missing:
        raise SetupFailure(f"the package has no {', '.join(sorted(missing))}", "correct products.txt")


def _make_queries(ffmpeg, cut_out, queries):
    queries.mkdir()
    for name, (emoji, ground, degrees) in PICTURE_QUERIES.items():
        turn = f"{degrees}*PI/180"
        turned = f"[1]scale=340:-1,rotate={turn}:c=none:ow=rotw({turn}):oh=roth({turn})[t]"
        filters = f"{turned};[0][t]overlay=(W-w)/2:(H-h)/2"
        picture = cut_out / picture_name(emoji)
        _run(ffmpeg, picture, f"color={ground}:s=480x640", filters, queries / f"{name}.jpg", "-frames:v", "1")
    for name, (emoji, ground) in VIDEO_QUERIES.items():
        picture = cut_out / picture_name(emoji)
        passing = "[1]scale=240:-1[t];[0][t]overlay=W*(t/3)-w/2:(H-h)/2,format=yuv420p"
        _run(ffmpeg, picture, f"color={ground}:s=480x360:r=12:d=3", passing, queries / f"{name}.mp4")


def _run(ffmpeg, picture, ground, filters, target, *options):
    command = [str(ffmpeg), "-nostdin", "-hide_banner", "-loglevel", "error"]
    command += ["-f", "lavfi", "-i", ground, "-i", str(picture), "-filter_complex", filters]
    command += [*options, "-bitexact", str(target)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=FFMPEG_SECONDS, check=False)
    if made.returncode != 0:
        raise SetupFailure(f"ffmpeg could not make {target.name}: {made.stderr.strip()}", "run again")
