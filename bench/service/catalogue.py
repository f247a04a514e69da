"""The products in MongoDB: one document each, with the vectors of its pictures inside."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from bson import ObjectId
from pymongo import MongoClient
from redis import Redis

from service.settings import Settings

COLLECTION = "products"
VERSION = "catalogue:version"
TEXT_FIELDS = [("name", "text"), ("description", "text"), ("category", "text")]

Document = dict[str, Any]


@dataclass(frozen=True)
class Matrix:
    """The vectors of all pictures, of unit length, and whose each is."""

    vectors: np.ndarray
    owners: list[ObjectId]
    places: list[int]


class Catalogue:
    """Reads every vector at each search, as the older service did, or keeps them in memory until a product is added."""

    def __init__(self, settings: Settings) -> None:
        self.products = MongoClient(settings.mongo_uri)[settings.mongo_db][COLLECTION]
        self.redis = Redis.from_url(settings.redis_url)
        self.in_memory = settings.catalogue_in_memory
        self._kept: tuple[bytes | None, Matrix] | None = None

    def prepare(self) -> None:
        """Makes the indexes."""
        self.products.create_index("image_hashes")
        self.products.create_index(TEXT_FIELDS)

    def known(self, hashes: list[str]) -> set[str]:
        """Which of these pictures some product has."""
        found = self.products.find({"image_hashes": {"$in": hashes}}, {"image_hashes": 1})
        return set(hashes) & {one for document in found for one in document["image_hashes"]}

    def add(self, product: Document) -> ObjectId:
        """Stores a product."""
        added = self.products.insert_one(product).inserted_id
        self.redis.incr(VERSION)
        return added

    def matrix(self) -> Matrix:
        """All vectors."""
        if not self.in_memory:
            return self._read()
        version = self.redis.get(VERSION)
        if self._kept is None or self._kept[0] != version:
            self._kept = (version, self._read())
        return self._kept[1]

    def _read(self) -> Matrix:
        vectors: list[list[float]] = []
        owners: list[ObjectId] = []
        places: list[int] = []
        for document in self.products.find({}, {"embeddings": 1}, batch_size=2000):
            for place, vector in enumerate(document["embeddings"]):
                vectors.append(vector)
                owners.append(document["_id"])
                places.append(place)
        matrix = np.array(vectors, np.float32)
        if len(matrix):
            matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
        return Matrix(matrix, owners, places)

    def nearest(self, query: np.ndarray, limit: int) -> dict[ObjectId, tuple[float, int]]:
        """The products whose best picture has the highest cosine, with that cosine and the picture's place."""
        matrix = self.matrix()
        if not matrix.owners:
            return {}
        scores = matrix.vectors @ query
        wanted = min(limit * 4, len(scores))
        best = np.argpartition(-scores, wanted - 1)[:wanted]
        found: dict[ObjectId, tuple[float, int]] = {}
        for row in best[np.argsort(-scores[best])]:
            found.setdefault(matrix.owners[row], (float(scores[row]), matrix.places[row]))
        return dict(list(found.items())[:limit])

    def with_words(self, words: str, limit: int) -> dict[ObjectId, float]:
        """The products that words are found in, by MongoDB's text index; the best has the score 1."""
        score = {"$meta": "textScore"}
        found = self.products.find({"$text": {"$search": words}}, {"_id": 1, "score": score}).sort([("score", score)]).limit(limit)
        scores = {document["_id"]: document["score"] for document in found}
        highest = max(scores.values(), default=1.0)
        return {one: value / highest for one, value in scores.items()}

    def products_of(self, ids: list[ObjectId]) -> dict[ObjectId, Document]:
        """Products without their vectors."""
        found = self.products.find({"_id": {"$in": ids}}, {"embeddings": 0})
        return {document["_id"]: document for document in found}
