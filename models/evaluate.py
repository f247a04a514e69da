"""Measures the default model on a labelled data folder.

    python evaluate.py DATA --cache ~/.cache/taja-fit

DATA holds `clothing/` (catalogue.jsonl and queries.jsonl with file and class, text_queries.jsonl with query and class)
and `grocery/` (catalogue.jsonl with file, name and category, queries.jsonl with file and name).
Prints precision@5 (the share of the first five of the right class) and recall@k (the right product among the first k).
"""

import argparse
import json
from pathlib import Path

import numpy as np

from fit_text_head import MANIFEST, fetch_files
from towers import ImageTower, MeanPooledText, apply_head, read_head, read_manifest, read_picture


def read_rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def precision_at(k, queries, query_labels, catalogue, labels):
    first = np.argsort(-(queries @ catalogue.T), axis=1, kind="stable")[:, :k]
    return (labels[first] == query_labels[:, None]).mean()


def recall_at(k, queries, query_labels, catalogue, labels):
    first = np.argsort(-(queries @ catalogue.T), axis=1, kind="stable")[:, :k]
    return (labels[first] == query_labels[:, None]).any(axis=1).mean()


class Shop:
    """One folder of the data, embedded by the bare image tower."""

    def __init__(self, folder, image_tower, label):
        self.catalogue_rows = read_rows(folder / "catalogue.jsonl")
        query_rows = read_rows(folder / "queries.jsonl")
        self.labels = np.array([row[label] for row in self.catalogue_rows])
        self.query_labels = np.array([row[label] for row in query_rows])
        self.catalogue = image_tower.embed(read_picture(folder / row["file"]) for row in self.catalogue_rows)
        self.queries = image_tower.embed(read_picture(folder / row["file"]) for row in query_rows)

    def with_head(self, head):
        return apply_head(self.queries, head), self.query_labels, apply_head(self.catalogue, head), self.labels


def image_figures(clothing, grocery, head):
    shelf = grocery.with_head(head)
    return {
        "clothing image->image precision@5": precision_at(5, *clothing.with_head(head)),
        "grocery shelf photograph->product recall@1": recall_at(1, *shelf),
        "grocery shelf photograph->product recall@5": recall_at(5, *shelf),
    }


def text_figures(clothing, text_rows, texts, image_head):
    _, _, catalogue, labels = clothing.with_head(image_head)
    wanted = np.array([row["class"] for row in text_rows])
    return {f"clothing text->image precision@{k}": precision_at(k, texts, wanted, catalogue, labels) for k in (5, 20)}


def name_figures(grocery, names, image_head):
    _, _, catalogue, labels = grocery.with_head(image_head)
    return {f"grocery name->its picture recall@{k}": recall_at(k, names, labels, catalogue, labels) for k in (1, 5)}


def show(title, figures):
    print(title)
    for name, value in figures.items():
        print(f"  {name:45} {value:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="where the packages are kept, or brought to")
    parser.add_argument("--heads", type=Path, default=Path(__file__).parent / "default")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    options = parser.parse_args()

    manifest = read_manifest(MANIFEST)
    files = fetch_files(manifest, options.cache)
    image = ImageTower(files["image.onnx"], manifest["image"]["preprocess"], options.threads)
    text = MeanPooledText(files["text.onnx"], files["tokenizer.json"], manifest["text"]["context"], options.threads)
    image_head, text_head = (read_head(options.heads, manifest[tower]) for tower in ("image", "text"))

    clothing = Shop(options.data / "clothing", image, "class")
    grocery = Shop(options.data / "grocery", image, "name")
    queries = read_rows(options.data / "clothing" / "text_queries.jsonl")
    texts = apply_head(text.embed([row["query"] for row in queries]), text_head)
    names = apply_head(text.embed([f"{row['name']} {row['category']}" for row in grocery.catalogue_rows]), text_head)

    show("the bare image tower", image_figures(clothing, grocery, {}))
    show("the default", image_figures(clothing, grocery, image_head))
    show("the default, from text", text_figures(clothing, queries, texts, image_head) | name_figures(grocery, names, image_head))


if __name__ == "__main__":
    main()
