"""The Celery worker: adds products and searches. Start it with `celery -A service.worker worker`."""

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

import cloudinary
import cloudinary.uploader
import numpy as np
import torch
from celery import Celery
from celery.signals import worker_init

from service import clip as torch_clip
from service.catalogue import Catalogue
from service.pictures import preprocess
from service.settings import Settings
from service.tokens import Tokenizer

WORDS_SHARE = 0.3  # of a product's score, when it was looked for by words
UPLOADS_AT_ONCE = 4
RESULT_SECONDS = 3600

settings = Settings.read()
app = Celery("service", broker=settings.redis_url, backend=settings.redis_url)
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_disable_rate_limits=True,
    worker_send_task_events=False,
    task_track_started=False,
    result_expires=RESULT_SECONDS,
    broker_connection_retry_on_startup=True,
)


class Engine:
    """What every task needs, made once per process."""

    @cached_property
    def clip(self) -> torch_clip.Clip:
        torch.set_num_threads(settings.threads)
        return torch_clip.load(settings.weights)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return Tokenizer(settings.weights)

    @cached_property
    def catalogue(self) -> Catalogue:
        catalogue = Catalogue(settings)
        catalogue.prepare()
        return catalogue

    @cached_property
    def uploads(self) -> ThreadPoolExecutor:
        cloudinary.config(cloud_name="bench", api_key="key", api_secret="secret", upload_prefix=settings.cloudinary_api)
        return ThreadPoolExecutor(UPLOADS_AT_ONCE)

    def warm_up(self) -> None:
        """Loads everything and runs both towers once."""
        size = self.clip.shape.size
        self.clip.encode_image(torch.zeros(1, 3, size, size))
        self.embed_text("warm up")
        assert self.catalogue and self.uploads

    def embed_images(self, images: list[bytes]) -> np.ndarray:
        pixels = np.stack([preprocess(one, self.clip.shape.size) for one in images])
        return self.clip.encode_image(torch.from_numpy(pixels)).numpy()

    def embed_text(self, text: str) -> np.ndarray:
        return self.clip.encode_text(torch.from_numpy(self.tokenizer.encode([text]))).numpy()[0]


engine = Engine()


@worker_init.connect
def _start(**_: Any) -> None:
    engine.warm_up()


def _host(image: bytes, sha256: str) -> str:
    return cloudinary.uploader.upload(image, public_id=sha256, folder="products", overwrite=False)["secure_url"]


@app.task(name="add_product")
def add_product(folder: str, details: dict[str, Any]) -> dict[str, Any]:
    """Takes a product in: what is known already is left out, the rest is embedded, hosted and stored."""
    images = {hashlib.sha256(data).hexdigest(): data for data in (path.read_bytes() for path in _files(folder))}
    known = engine.catalogue.known(list(images))
    fresh = {sha256: data for sha256, data in images.items() if sha256 not in known}
    result = {"status": "duplicate", "added": len(fresh), "duplicates": len(known), "errors": 0, "error_details": []}
    if fresh:
        hosted = [engine.uploads.submit(_host, data, sha256) for sha256, data in fresh.items()]
        vectors = engine.embed_images(list(fresh.values()))
        product = details | {
            "image_urls": [one.result() for one in hosted],
            "image_hashes": list(fresh),
            "embeddings": vectors.tolist(),
            "created_at": datetime.now(timezone.utc),
        }
        result |= {"status": "success", "product_id": str(engine.catalogue.add(product))}
    shutil.rmtree(folder, ignore_errors=True)
    return result


@app.task(name="search")
def search(folder: str | None, words: str | None) -> dict[str, Any]:
    """Finds the products nearest to a picture, to words, or to both."""
    queries = []
    if folder:
        queries.extend(engine.embed_images([path.read_bytes() for path in _files(folder)]))
        shutil.rmtree(folder, ignore_errors=True)
    if words:
        queries.append(engine.embed_text(words))
    query = np.mean(queries, axis=0)
    near = engine.catalogue.nearest(query / np.linalg.norm(query), settings.limit)
    scores = {one: score for one, (score, _) in near.items()}
    if words:
        found = engine.catalogue.with_words(words, settings.limit)
        scores = {
            one: (1 - WORDS_SHARE) * scores.get(one, 0.0) + WORDS_SHARE * found.get(one, 0.0) for one in scores | found
        }
    best = sorted(scores, key=lambda one: -scores[one])[: settings.limit]
    products = engine.catalogue.products_of(best)
    return {"matches": [_match(products[one], scores[one], near.get(one)) for one in best if one in products]}


def _match(product: dict[str, Any], score: float, picture: tuple[float, int] | None) -> dict[str, Any]:
    matched = []
    if picture:
        similarity, place = picture
        url, sha256 = product["image_urls"][place], product["image_hashes"][place]
        matched.append({"image_url": url, "image_hash": sha256, "similarity": similarity})
    details = {name: product.get(name) for name in ("name", "price", "description", "category", "image_urls")}
    return {"product_id": str(product["_id"]), **details, "matched_images": matched, "score": score}


def _files(folder: str) -> list[Path]:
    return sorted(Path(folder).iterdir())
