"""Fills a database with products in the older service's form, vectors inside: `python -m service.fill COUNT DIMENSION`.

MONGO_URI and MONGO_DB say where. The same numbers make the same products.
"""

import itertools
import os
import sys
from datetime import datetime, timezone

import numpy as np
from bson import ObjectId
from pymongo import MongoClient

from service import vectors
from service.catalogue import COLLECTION
from service.words import picture_of, product_of

MADE = datetime(2026, 1, 1, tzinfo=timezone.utc)


def products(count: int, dimension: int):
    """Products with one picture each."""
    numbers = itertools.count()
    for batch in vectors.batches(count, dimension):
        yield [_product(number, vector) for vector, number in zip(batch, numbers)]


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
