"""Fills a database with products in the older service's form, vectors inside: `python -m service.fill COUNT DIMENSION`.

MONGO_URI and MONGO_DB say where. The same numbers make the same products.
"""

import os
import sys
from datetime import datetime, timezone

import numpy as np
from bson import ObjectId
from pymongo import MongoClient

from service.catalogue import COLLECTION
from service.words import picture_of, product_of

BATCH = 1000
SEED = 11
MADE = datetime(2026, 1, 1, tzinfo=timezone.utc)


def products(count: int, dimension: int):
    """Products with one picture each; vectors lie all around."""
    draw = np.random.default_rng(SEED)
    for start in range(0, count, BATCH):
        vectors = draw.normal(size=(min(BATCH, count - start), dimension))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        yield [_product(start + row, vector) for row, vector in enumerate(vectors.astype(np.float32))]


def _product(number: int, vector: np.ndarray) -> dict:
    sha256, url = picture_of(number)
    return {
        "_id": ObjectId(f"{number:024x}"),
        **product_of(number),
        "image_urls": [url],
        "image_hashes": [sha256],
        "embeddings": [vector.tolist()],
        "created_at": MADE,
    }


def main(count: int, dimension: int) -> None:
    collection = MongoClient(os.environ["MONGO_URI"])[os.environ["MONGO_DB"]][COLLECTION]
    for batch in products(count, dimension):
        collection.insert_many(batch, ordered=False)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
