"""Measures the bundled policies with a model, through a service of its own, and writes the figures down.

    ./just eval [DATA]

DATA is a labelled folder as evaluate.py reads it (by default ../shared/data beside the project); where there is none, the
sample shop alone is measured. Each shop is taken into a fresh data folder by `taja import` and asked by `taja eval`. The table goes
to standard output and between the marks in README.md, the plots into plots/.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
README = HERE / "README.md"
PLOT = "quality-{shop}.svg"
BEGIN, END = "<!-- begin: quality -->", "<!-- end: quality -->"
# The legs of a search by words, each alone.
LEGS = {
    "vectors alone": {"search-text": {"settings": {"keyword_weight": 0}}},
    "keywords alone": {"search-text": {"settings": {"vector_weight": 0}}},
}
# The parts of a search by a photograph with words, each alone.
PARTS = {
    "photograph alone": {"weights": {"text": 0}},
    "words alone": {"weights": {"image": 0}},
}
# Reciprocal-rank fusion as it is published.
BY_RANK = {
    "ranks alone, half and half": {
        "search-text": {"settings": {"vector_weight": 0.5, "keyword_weight": 0.5}},
        "rank-default": {"settings": {"relevance_share": 0}},
    }
}
# Products that look alike are all to be found.
SETTINGS = {"ingest-product": {"near_duplicates": False}}
FIGURES = ["ndcg@10", "recall@10", "mrr@10", "coverage@10", "latency_p50_ms"]


@dataclass(frozen=True)
class Shop:
    """Products to take in, and judgements of words, of pictures and of pictures with words by the name of their set."""

    name: str
    products: list[dict]
    words: dict[str, list[dict]]
    pictures: dict[str, list[dict]]
    composed: dict[str, list[dict]]

    def kinds(self) -> dict[str, tuple[dict[str, list[dict]], dict[str, dict]]]:
        """The sets of each kind of query, and the columns beside the bundled policies, by name."""
        return {
            "words": (self.words, LEGS | BY_RANK),
            "pictures": (self.pictures, BY_RANK),
            "composed": (self.composed, PARTS | BY_RANK),
        }


def read_rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def stem(row: dict) -> str:
    return Path(row["file"]).stem


def clothing(folder: Path) -> Shop:
    """Photographs without words: nothing but the picture tells what a product is."""
    catalogue, queries = read_rows(folder / "catalogue.jsonl"), read_rows(folder / "queries.jsonl")
    texts = read_rows(folder / "text_queries.jsonl")
    of_class: dict[str, dict[str, int]] = {}
    for row in catalogue:
        of_class.setdefault(row["class"], {})[stem(row)] = 1
    products = [
        {"sku": stem(row), "name": f"Item {number}", "price": 1, "description": "A photograph.", "images": [str(folder / row["file"])]}
        for number, row in enumerate(catalogue, 1)
    ]
    words = [{"query": row["query"], "relevant": of_class[row["class"]]} for row in texts]
    pictures = [{"id": stem(row), "image": str(folder / row["file"]), "relevant": of_class[row["class"]]} for row in queries]
    # Each photograph with one of the texts of its class, in turn.
    by_class: dict[str, list[str]] = {}
    for row in texts:
        by_class.setdefault(row["class"], []).append(row["query"])
    composed = [
        {**picture, "query": by_class[row["class"]][number % len(by_class[row["class"]])]}
        for number, (picture, row) in enumerate(zip(pictures, queries))
    ]
    return Shop(
        "clothing",
        products,
        {"clothing, words": words},
        {"clothing, photograph": pictures},
        {"clothing, photograph and words": composed},
    )


def grocery(folder: Path) -> Shop:
    """A small shop with names, categories and descriptions; photographs are taken at shelves."""
    catalogue, queries = read_rows(folder / "catalogue.jsonl"), read_rows(folder / "queries.jsonl")
    products = [
        {
            "sku": stem(row),
            "name": row["name"],
            "category": row["category"],
            "description": row["description"],
            "price": 1,
            "images": [str(folder / row["file"])],
        }
        for row in catalogue
    ]
    by_name = {row["name"]: row for row in catalogue}
    shelf = [
        {"id": stem(row), "image": str(folder / row["file"]), "relevant": {stem(by_name[row["name"]]): 1}} for row in queries
    ]
    composed = [{**photograph, "query": by_name[row["name"]]["category"]} for photograph, row in zip(shelf, queries)]
    return Shop(
        "grocery",
        products,
        {f"grocery, {name}": rows for name, rows in named(products).items()},
        {"grocery, photograph": shelf},
        {"grocery, photograph and category": composed},
    )


def sample(catalogue: Path) -> Shop:
    """The sample shop, which every set-up has: names, categories, and what people might say instead."""
    products = read_rows(catalogue)
    for row in products:
        row["sku"] = Path(row["images"][0]).stem
        row["images"] = [str(catalogue.parent / image) for image in row["images"]]
    words = {**named(products), "other words": paraphrased(products)}
    return Shop("sample", products, {f"sample shop, {name}": rows for name, rows in words.items()}, {}, {})


def paraphrased(products: list[dict]) -> list[dict]:
    """Queries that mostly use other words than the products, judged by hand."""
    sku = {row["name"]: row["sku"] for row in products}
    rows = read_rows(HERE / "sample-judgements.jsonl")
    relevant = [{sku[name]: grade for name, grade in row["relevant"].items() if name in sku} for row in rows]
    return [{"query": row["query"], "relevant": judged} for row, judged in zip(rows, relevant) if judged]


def named(products: list[dict]) -> dict[str, list[dict]]:
    """The name of each product finds it, the name of each category all that is in it."""
    of_category: dict[str, dict[str, int]] = {}
    of_name: dict[str, dict[str, int]] = {}
    for row in products:
        of_category.setdefault(row["category"], {})[row["sku"]] = 1
        of_name.setdefault(row["name"], {})[row["sku"]] = 1
    return {
        "name": [{"query": name, "relevant": relevant} for name, relevant in of_name.items()],
        "category": [{"query": category, "relevant": relevant} for category, relevant in of_category.items()],
    }


def write_rows(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def measure(taja: Path, shop: Shop, plots: Path | None) -> list[dict]:
    """Takes the shop in and asks it: the sets of `taja eval --json`."""
    with tempfile.TemporaryDirectory(prefix="taja-eval-") as scratch:
        folder = Path(scratch)
        # A port that nobody serves: nobody else's service is to be taken for this one.
        own = {"TAJA_DATA": str(folder / "data"), "TAJA_LISTEN": "127.0.0.1:1", "TAJA_PLUGIN_SETTINGS": json.dumps(SETTINGS)}
        environment = {**os.environ, **own}

        def run(*arguments: object) -> subprocess.CompletedProcess:
            return subprocess.run([taja, *map(str, arguments)], env=environment, check=True, stdout=subprocess.PIPE)

        run("import", write_rows(folder / "products.jsonl", shop.products), "--json")
        sets = []
        for kind, (judgements, others) in shop.kinds().items():
            files = [write_rows(folder / f"{name}.jsonl", rows) for name, rows in judgements.items()]
            columns = [
                argument
                for name, policies in others.items()
                for argument in ("--against", f"{name}={json.dumps(policies)}")
            ]
            if files:
                plot = ["--plot", plots / PLOT.format(shop=f"{shop.name}-{kind}")] if plots else []
                sets += json.loads(run("eval", *files, *columns, *plot, "--json").stdout)["sets"]
        return sets


def table(sets: list[dict]) -> str:
    """The figures as Markdown, with their 95 % intervals."""
    lines = [
        "| queries | | policies | " + " | ".join(FIGURES) + " |",
        "| --- | ---: | --- | " + " | ".join("---" for _ in FIGURES) + " |",
    ]
    for judged in sets:
        for place, column in enumerate(judged["columns"]):
            head = (judged["judgements"], str(judged["queries"])) if place == 0 else ("", "")
            name = "as bundled" if column["name"] == "live" else column["name"]
            cells = [told(figure) for figure in column["figures"] if figure["measure"] in FIGURES]
            lines.append("| " + " | ".join([*head, name, *cells]) + " |")
    return "\n".join(lines)


def told(figure: dict) -> str:
    if figure["measure"].endswith("_ms"):
        return f"{figure['value']:.0f}"
    text = f"{figure['value']:.3f} ({figure['low']:.2f} to {figure['high']:.2f})"
    difference = figure.get("difference")
    is_off_zero = difference and (difference["low"] > 0 or difference["high"] < 0)
    return text + " *" if is_off_zero else text


def between_marks(text: str, figures: str) -> str:
    """The text with these figures in the place of those between the marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, default=ROOT.parent / "shared/data", help="the labelled folder")
    parser.add_argument("--taja", type=Path, default=ROOT / "target/release/taja", help="the program")
    parser.add_argument("--sample", type=Path, default=ROOT / ".tools/sample/catalogue.ndjson", help="the sample shop")
    parser.add_argument("--shop", action="append", choices=["sample", "clothing", "grocery"], help="only this one; writes nothing")
    arguments = parser.parse_args()
    shops = {"sample": lambda: sample(arguments.sample.resolve())}
    if arguments.data.is_dir():
        data = arguments.data.resolve()
        shops |= {"clothing": lambda: clothing(data / "clothing"), "grocery": lambda: grocery(data / "grocery")}
    else:
        print(f"{arguments.data} is not there: measuring the sample shop alone, and writing nothing", file=sys.stderr)
    is_whole = not arguments.shop and len(shops) > 1
    sets = []
    for name in arguments.shop or shops:
        print(f"== {name}", file=sys.stderr)
        sets += measure(arguments.taja, shops[name](), HERE / "plots" if is_whole else None)
    figures = table(sets)
    print(figures)
    if is_whole:
        README.write_text(between_marks(README.read_text(encoding="utf-8"), figures), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
