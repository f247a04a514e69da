"""The HTTP side: takes requests, hands them to Celery, answers with its results. Serve it with uvicorn."""

import uuid
from pathlib import Path
from typing import Annotated, Any

from celery.result import AsyncResult
from fastapi import FastAPI, File, Form, HTTPException, UploadFile
from fastapi.concurrency import run_in_threadpool
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from service.queue import queue, settings

app = FastAPI(title="Reference service")
mongo = AsyncMongoClient(settings.mongo_uri)
redis = Redis.from_url(settings.redis_url)
STATES = {"SUCCESS": "completed", "FAILURE": "failed", "REVOKED": "failed"}


async def _stage(files: list[UploadFile]) -> str | None:
    """Writes uploads to a folder of their own, which the worker reads and removes."""
    if not files:
        return None
    folder = settings.uploads / uuid.uuid4().hex
    contents = [await file.read() for file in files]
    await run_in_threadpool(_write, folder, contents)
    return str(folder)


def _write(folder: Path, contents: list[bytes]) -> None:
    folder.mkdir(parents=True)
    for place, content in enumerate(contents):
        (folder / f"{place:03}").write_bytes(content)


@app.get("/health")
async def health() -> dict[str, str]:
    await mongo.admin.command("ping")
    await redis.ping()
    return {"api": "ok", "mongodb": "ok", "redis": "ok"}


@app.post("/add_product", status_code=202)
async def add_product(
    images: Annotated[list[UploadFile], File()],
    name: Annotated[str, Form()],
    price: Annotated[float, Form()],
    description: Annotated[str, Form()],
    category: Annotated[str, Form()] = "",
) -> dict[str, str]:
    details = {"name": name, "price": price, "description": description, "category": category}
    job = queue.send_task("add_product", (await _stage(images), details))
    return {"job_id": job.id, "status": "processing"}


@app.post("/search", status_code=202)
async def search(
    image: Annotated[UploadFile | None, File()] = None, query: Annotated[str | None, Form()] = None
) -> dict[str, str]:
    if image is None and not query:
        raise HTTPException(422, "an image or a query is needed")
    job = queue.send_task("search", (await _stage([image] if image else []), query))
    return {"job_id": job.id, "status": "processing"}


@app.get("/add_product/job/{job_id}")
@app.get("/search/job/{job_id}")
async def read_job(job_id: str) -> dict[str, Any]:
    stored = await redis.get(queue.backend.get_key_for_task(job_id))
    if stored is None:
        return {"job_id": job_id, "status": "pending"}
    meta = queue.backend.decode_result(stored)
    status = STATES.get(meta["status"], "processing")
    answer = {"job_id": job_id, "status": status}
    if status == "completed":
        answer["result"] = meta["result"]
    elif status == "failed":
        answer["error"] = str(AsyncResult(job_id, app=queue).result)
    return answer
