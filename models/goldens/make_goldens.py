"""Writes what the tests of `taja-clip` compare with: pictures, their preprocessed pixels, token ids, embeddings.

    python make_goldens.py                      everything that needs no model
    python make_goldens.py --model DIRECTORY    also what one model folder gives: default-model.json, or
                                                random-vit-b-32.json for what make_random.py made of ViT-B-32, seed 0

See requirements.txt for what to install.
"""

import argparse
import gzip
import hashlib
import json
import tomllib
from pathlib import Path

import numpy as np
import onnxruntime
import tokenizers
from PIL import Image
from safetensors.numpy import load_file

import reference
from pictures import write_pictures
from strings import texts

HERE = Path(__file__).parent
SIZE = 224
STRIP_SIZE = 64
RANDOM = "random-clip-vit-b-32-seed-0"
# For the random model; the largest cosine between its vectors of two of these is 0.97.
FEW = ("landscape.png", "portrait.png", "banner.png", "few-colours-sky.png", "grey-alpha.png", "palette.png", "stripes.png")
TEXTS = ["a photo of a cat", "red running shoes", "Ein schönes Sommerkleid", "chocolate cake with cherries", "word " * 200]


def write_preprocessed(paths):
    """A hash where the decoded pixels are certain, and a strip of small squares for the JPEG files."""
    records, strip = [], []
    for path in paths:
        image = reference.open_upright(path)
        record = {"file": path.name, "width": image.width, "height": image.height}
        if path.suffix == ".png":
            record["pixels_sha256"] = hashlib.sha256(image.tobytes()).hexdigest()
            record["crop_sha256"] = hashlib.sha256(reference.crop(image, SIZE).tobytes()).hexdigest()
            bilinear = reference.crop(image, SIZE, Image.Resampling.BILINEAR)
            record["bilinear_sha256"] = hashlib.sha256(bilinear.tobytes()).hexdigest()
            squashed = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
            record["squashed_sha256"] = hashlib.sha256(squashed.tobytes()).hexdigest()
        else:
            record["strip"] = len(strip)
            strip.append(reference.crop(image, STRIP_SIZE))
        records.append(record)
    Image.fromarray(np.concatenate(strip)).save(HERE / "strip.png", optimize=True)
    write_json(HERE / "pictures.json", records)


def write_tokens():
    tokenizer = reference.openai_tokenizer()
    rows = [[text, reference.tokenize(tokenizer, text)] for text in texts()]
    data = json.dumps(rows, ensure_ascii=True, separators=(",", ":")).encode()
    (HERE / "tokens.json.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    print(f"{len(rows)} texts")


def write_embeddings(folder, paths):
    """What a model folder gives for the pictures and a few texts, each alone, and the space it is in."""
    manifest = tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))
    random = manifest["name"] == RANDOM
    pictures = embed_pictures(folder, manifest["image"], [path for path in paths if not random or path.name in FEW])
    texts = embed_texts(folder, manifest["text"])
    write_json(HERE / ("random-vit-b-32.json" if random else "default-model.json"), {"space": space(folder, manifest), "pictures": pictures, "texts": texts})


def embed_pictures(folder, tower, paths):
    session, head = onnxruntime.InferenceSession(folder / tower["file"]), read_head(folder, tower)
    rows = {}
    for path in paths:
        pixels = reference.tensor(reference.crop(reference.open_upright(path), tower["preprocess"]["size"]))[None]
        output = session.run([tower["output"]], {tower["input"]: pixels})[0][0]
        rows[path.name] = reference.unit(reference.apply_head(head, output))
    return rows


def embed_texts(folder, tower):
    session, head = onnxruntime.InferenceSession(folder / tower["file"]), read_head(folder, tower)
    encode = encoder(folder, tower)
    names = {node.name for node in session.get_inputs()}
    rows = []
    for text in TEXTS:
        ids = np.array([encode(text)], np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        output = session.run([tower["output"]], {name: feeds[name] for name in names})[0][0]
        if tower["pooling"] == "mean":
            output = reference.normalised(output.mean(axis=0))
        rows.append([text, reference.unit(reference.apply_head(head, output))])
    return rows


def encoder(folder, tower):
    """From a text to the ids that the tower is fed, filled up to the context for CLIP."""
    if tower["tokenizer"]["kind"] == "wordpiece":
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / tower["tokenizer"]["file"]))
        tokenizer.no_padding()
        tokenizer.enable_truncation(tower["context"])
        return lambda text: tokenizer.encode(text).ids
    clip = reference.openai_tokenizer()
    fill = lambda ids: ids + [0] * (tower["context"] - len(ids))
    return lambda text: fill(reference.tokenize(clip, text))


def read_head(folder, tower):
    return load_file(folder / tower["head"]["file"]) if "head" in tower else {}


def space(folder, manifest):
    """The name, and 16 digits of the digest over the digests of all files in the manifest's order."""
    image, text = manifest["image"], manifest["text"]
    files = [image, image.get("head"), text, text["tokenizer"], text.get("head")]
    digests = [hashlib.sha256((folder / file["file"]).read_bytes()).digest() for file in files if file]
    return f"{manifest['name']}@{hashlib.sha256(b''.join(digests)).hexdigest()[:16]}"


def write_json(path, value):
    path.write_text(json.dumps(value, indent=None, separators=(",", ":")).replace("},{", "},\n{") + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a model folder with model.toml")
    options = parser.parse_args()
    paths = write_pictures(HERE / "pictures")
    write_preprocessed(paths)
    write_tokens()
    if options.model:
        write_embeddings(options.model, paths)


if __name__ == "__main__":
    main()
