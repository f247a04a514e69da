"""An HTTP client for one service: keeps its connection, sends forms, polls jobs."""

import http.client
import json
import time
import uuid
from typing import Any
from urllib.parse import urlencode, urlsplit

from driver.processes import DriverFailure

TIMEOUT_SECONDS = 120
FIRST_POLL_SECONDS = 0.001
LONGEST_POLL_SECONDS = 0.02
ENDED = ("completed", "failed")


def poll_pause(waited: float) -> float:
    """How long to wait for the next look at a job: a tenth of what it has taken so far, within bounds."""
    return min(max(waited / 10, FIRST_POLL_SECONDS), LONGEST_POLL_SECONDS)


def multipart(fields: dict[str, str], files: list[tuple[str, bytes]]) -> tuple[bytes, str]:
    """A form with files; its body and its content type."""
    boundary = uuid.uuid4().hex
    parts = []
    for name, value in fields.items():
        parts.append(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    for place, (name, data) in enumerate(files):
        disposition = f'form-data; name="{name}"; filename="{place}.jpg"'
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: image/jpeg\r\n\r\n"
        parts.append(head.encode() + data + b"\r\n")
    return b"".join([*parts, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"


class Client:
    """Speaks to one address. Not for several threads at once."""

    def __init__(self, base: str, key: str | None = None) -> None:
        address = urlsplit(base)
        self.connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=TIMEOUT_SECONDS)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def request(self, method: str, path: str, body: bytes | None = None, kind: str | None = None) -> tuple[int, bytes]:
        """Status and body. A kept connection that was closed meanwhile is opened anew, once."""
        headers = self.headers | ({"Content-Type": kind} if kind else {})
        for last in (False, True):
            try:
                self.connection.request(method, path, body, headers)
                response = self.connection.getresponse()
                return response.status, response.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.connection.close()
                if last:
                    raise
        raise AssertionError("the second try answers or raises")

    def close(self) -> None:
        self.connection.close()

    def _job(self, answer: tuple[int, bytes]) -> str:
        status, body = answer
        if status != 202:
            raise DriverFailure(f"expected 202, got {status}: {body[:300]!r}")
        return json.loads(body)["job_id"]

    def add_product(self, name: str, images: list[bytes]) -> str:
        """Sends a product; answers its job."""
        fields = {"name": name, "price": "9.5", "description": f"{name}, for the benchmark", "category": "bench"}
        body, kind = multipart(fields, [("images", image) for image in images])
        return self._job(self.request("POST", "/add_product", body, kind))

    def search_image(self, image: bytes) -> str:
        """Sends a search by a picture; answers its job."""
        return self._job(self.request("POST", "/search", *multipart({}, [("image", image)])))

    def search_text(self, words: str) -> str:
        """Sends a search by words; answers its job."""
        form = urlencode({"query": words}).encode()
        return self._job(self.request("POST", "/search", form, "application/x-www-form-urlencoded"))

    def wait(self, kind: str, job: str, seconds: float = TIMEOUT_SECONDS) -> dict[str, Any]:
        """Polls a job of a kind (`search`, `add_product`) until it has ended; a failed one raises."""
        started = time.monotonic()
        while True:
            status, body = self.request("GET", f"/{kind}/job/{job}")
            answer = json.loads(body)
            if status == 200 and answer["status"] in ENDED:
                break
            waited = time.monotonic() - started
            if status >= 500 or waited > seconds:
                raise DriverFailure(f"job {job} after {waited:.0f} s: {status} {body[:300]!r}")
            time.sleep(poll_pause(waited))
        if answer["status"] == "failed":
            raise DriverFailure(f"job {job} failed: {answer.get('error')}")
        return answer["result"]
