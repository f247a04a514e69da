"""The client of the older service that polls progress, with nothing but Python's standard library.

Usage: python3 service.py BASE PICTURE QUERY_PICTURE. Prints what it was answered, as JSON.
"""

import json
import sys
import time
import urllib.request
import uuid
from pathlib import Path

API = "/api/v1"


def call(request):
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def post(base, path, fields, files):
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
        for name, text in fields.items()
    ]
    for name, file in files:
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file.name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        parts.append(head.encode() + file.read_bytes() + b"\r\n")
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return call(urllib.request.Request(base + API + path, data=body, headers=headers, method="POST"))


def follow(base, path, job_id):
    """Polls progress until it says that the job is over, then reads the job."""
    seen = []
    while True:
        progress = call(f"{base}{API}{path}/progress/{job_id}")
        if sorted(progress) != ["job_id", "message", "progress", "timestamp"]:
            raise SystemExit(f"progress looks otherwise: {progress}")
        seen.append(progress["progress"])
        if progress["progress"] in (100, -1):
            break
        time.sleep(0.1)
    while True:
        job = call(f"{base}{API}{path}/job/{job_id}")
        if job["status"] in ("completed", "failed"):
            return seen, job
        time.sleep(0.1)


def main(base, picture, query):
    fields = {
        "name": "Ginger cat poster",
        "price": "19.5",
        "description": "A cat that looks at you",
        "category": "posters",
        "weight_kg": "0.2",
        "color": "orange",
        "sizes": json.dumps(["A3", "A2"]),
        "key_features": json.dumps(["matt"]),
    }
    adding = post(base, "/add_product", fields, [("images", picture)])
    add_progress, added = follow(base, "/add_product", adding["job_id"])
    searching = post(base, "/search", {}, [("image", query)])
    search_progress, found = follow(base, "/search", searching["job_id"])
    answers = {"add_progress": add_progress, "added": added, "search_progress": search_progress, "found": found}
    print(json.dumps(answers))


main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
