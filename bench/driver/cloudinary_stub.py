"""Answers uploads as Cloudinary does, on a loopback port, and keeps nothing: `python cloudinary_stub.py PORT`."""

import json
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FIELD = rb'name="%s"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]*)\r\n'


class Handler(BaseHTTPRequestHandler):
    """Says where the picture would be."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer({"status": "ok"})

    def do_POST(self) -> None:
        body = self._body()
        if self.path.endswith("/destroy"):
            return self._answer({"result": "ok"})
        folder, name = self._field(body, b"folder"), self._field(body, b"public_id")
        public_id = f"{folder}/{name}" if folder else name
        version = int(time.time())
        url = f"http://{self.headers['Host']}/bench/image/upload/v{version}/{public_id}.jpg"
        self._answer(
            {
                "public_id": public_id, "version": version, "format": "jpg", "resource_type": "image", "type": "upload",
                "width": 1200, "height": 900, "bytes": len(body), "tags": [], "url": url, "secure_url": url,
                "signature": "0", "etag": "0", "placeholder": False, "existing": False,
            }
        )  # fmt: skip

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _field(self, body: bytes, name: bytes) -> str:
        found = re.search(FIELD % name, body)
        return found[1].decode() if found else ""

    def _answer(self, value: dict) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
