"""A small strict bucket on loopback that speaks the JSON API as google-cloud-storage does, counts requests and plants faults.

Generation preconditions hold on every verb, uploads are held against their crc32c, and what it does not
know is answered with 400 and kept in `violations`: nothing that a client asks is passed over in silence.

    with GcsServer() as server:
        server.plant("503", on="read")       # the next read; times=3 for the next three
        ...                                  # with STORAGE_EMULATOR_HOST=server.url
        assert server.counts["read"] == 2

Kinds: read, stat, list, delete, write (one request), start, chunk and probe (resumable).
Faults: 400, 401, 403, 429, 503; `reset` (nothing done), `lost` (done, the answer lost), `truncated`, `wrong_bytes`
(either way), `slow` (no first byte), `partial` (only half of a chunk kept). `delay_s` makes every answer so much later.
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import threading
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.storage.gcs_objects import CHUNK_UNIT, Objects, Refused

PARAMETERS = {"alt", "name", "uploadType", "upload_id", "prefix", "pageToken", "maxResults", "fields", "projection", "prettyPrint"}
PARAMETERS |= {"generation", "ifGenerationMatch"}
LIST_FIELDS = {"items(name),nextPageToken": ("name",), "items(name,size,crc32c),nextPageToken": ("name", "size", "crc32c")}
WORDS = {
    400: "Invalid argument.",
    401: "Anonymous caller does not have storage.objects.get access to the Google Cloud Storage object.",
    403: "someone@example.com does not have storage.objects access to the Google Cloud Storage object.",
    429: "The object exceeded the rate limit for object mutation operations.",
    503: "We encountered an internal error. Please try again.",
}


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def damaged(data: bytes) -> bytes:
    """The same bytes but for the last one."""
    return data[:-1] + bytes([data[-1] ^ 1])


class GcsServer:
    def __init__(self, *buckets: str, page_size: int = 1000):
        self.objects = Objects(*buckets or ("bucket",))
        self.page_size = page_size
        self.delay_s = 0.0
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self._faults: dict[str, deque[str]] = defaultdict(deque)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"gcs": self}))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> GcsServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *exc) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()

    def plant(self, fault: str, on: str, times: int = 1) -> None:
        """The next requests of this kind meet this fault."""
        self._faults[on].extend([fault] * times)

    def put(self, bucket: str, name: str, data: bytes) -> int:
        """An object that lies there already, or another writer's; its generation."""
        with self.lock:
            return self.objects.store(bucket, {"name": name}, data).generation

    def planted(self, kind: str) -> str:
        """Counts a request; the fault that it shall meet, "" for none."""
        with self.lock:
            self.counts[kind] += 1
            return self._faults[kind].popleft() if self._faults[kind] else ""


class _Handler(BaseHTTPRequestHandler):
    gcs: GcsServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def objects(self) -> Objects:
        return self.gcs.objects

    def log_message(self, *_) -> None:
        pass

    def _serve(self) -> None:
        url = urlsplit(self.path)
        self.query = dict(parse_qsl(url.query, keep_blank_values=True))
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match = re.fullmatch(r"(/upload|/download)?/storage/v1/b/([^/]+)/o(?:/([^/]+))?", url.path)
        if match is None or set(self.query) - PARAMETERS or "Transfer-Encoding" in self.headers:
            self._violates()
            return self._send(_error(400, f"unknown: {self.path}"))
        self.bucket, self.name = unquote(match[2]), unquote(match[3] or "")
        kind = self._kind(match[1] == "/upload")
        if self.gcs.delay_s:
            self.gcs.closing.wait(self.gcs.delay_s)
        fault = self.gcs.planted(kind)
        if fault.isdigit():
            return self._send(_error(int(fault), WORDS[int(fault)]))
        if fault == "reset":
            return self._reset()
        if fault == "slow":
            self.gcs.closing.wait(10)
            return self._reset()
        if fault == "wrong_bytes" and self.body:
            self.body = self._damaged_body()
        if fault == "partial":
            self.body = self.body[: len(self.body) // 2 // CHUNK_UNIT * CHUNK_UNIT]
            self.headers.replace_header("Content-Range", f"bytes 0-{len(self.body) - 1}/*")
        self._finish(kind, fault)

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def _kind(self, upload: bool) -> str:
        if self.command == "PUT":
            return "chunk" if self.body else "probe"
        if upload:
            return "start" if self.query.get("uploadType") == "resumable" else "write"
        if self.command == "DELETE":
            return "delete"
        if not self.name:
            return "list"
        return "read" if self.query.get("alt") == "media" else "stat"

    def _finish(self, kind: str, fault: str) -> None:
        try:
            with self.gcs.lock:
                answer = getattr(self, f"_{kind}")()
        except Refused as refused:
            answer = _error(refused.status, refused.words, plain=kind == "read")
        if fault == "lost":
            return self._reset()
        if fault == "wrong_bytes" and self.command == "GET":
            answer.body = damaged(answer.body)
        self._send(answer, cut=fault == "truncated")

    def _read(self) -> Answer:
        held = self.objects.held(self.bucket, self.name, self.query)
        headers = {
            "X-Goog-Hash": f"crc32c={held.sums['crc32c']},md5={held.sums['md5Hash']}",
            "X-Goog-Generation": str(held.generation),
            "X-Goog-Metageneration": "1",
            "X-Goog-Stored-Content-Encoding": "identity",
            "X-Goog-Stored-Content-Length": str(len(held.data)),
            "Content-Type": held.content_type,
        }
        if "Range" not in self.headers:
            return Answer(200, held.data, headers)
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"])
        if span is None:
            self._violates()
            raise Refused(400, "unknown range")
        start, end = int(span[1]), min(int(span[2] or len(held.data)), len(held.data) - 1)
        if start >= len(held.data):
            raise Refused(416, "The requested range cannot be satisfied.")
        return Answer(206, held.data[start : end + 1], {**headers, "Content-Range": f"bytes {start}-{end}/{len(held.data)}"})

    def _stat(self) -> Answer:
        return _json(self.objects.describe(self.bucket, self.name, self.objects.held(self.bucket, self.name, self.query)))

    def _delete(self) -> Answer:
        self.objects.held(self.bucket, self.name, self.query)
        del self.objects.buckets[self.bucket][self.name]
        return Answer(204)

    def _list(self) -> Answer:
        fields = LIST_FIELDS.get(self.query.get("fields", next(iter(LIST_FIELDS))))
        if fields is None:
            self._violates()
            raise Refused(400, "unknown fields")
        held = self.objects.bucket(self.bucket)
        names = sorted(n for n in held if n.startswith(self.query.get("prefix", "")))
        names = [n for n in names if n > self.query.get("pageToken", "")]
        limit = min(int(self.query.get("maxResults", 1000)), self.gcs.page_size)
        more = {"nextPageToken": names[limit - 1]} if len(names) > limit else {}
        described = (self.objects.describe(self.bucket, n, held[n]) for n in names[:limit])
        return _json({"items": [{key: value[key] for key in fields} for value in described], **more})

    def _write(self) -> Answer:
        meta, data, content_type = {"name": self.query.get("name")}, self.body, self.headers["Content-Type"]
        if self.query.get("uploadType") == "multipart":
            boundary = re.fullmatch(r'multipart/related; boundary="(.+)"', content_type)[1].encode()
            described, content = (part.removeprefix(b"\r\n") for part in self.body.split(b"--" + boundary)[1:3])
            meta = json.loads(described.partition(b"\r\n\r\n")[2])
            head, _, data = content.partition(b"\r\n\r\n")
            data, content_type = data.removesuffix(b"\r\n"), head.decode().partition(": ")[2]
        held = self.objects.store(self.bucket, meta, data, self.query.get("ifGenerationMatch"), content_type)
        return _json(self.objects.describe(self.bucket, meta["name"], held))

    def _start(self) -> Answer:
        meta = {"name": self.query.get("name"), **json.loads(self.body or b"{}")}
        content_type, condition = self.headers["X-Upload-Content-Type"], self.query.get("ifGenerationMatch")
        number = self.objects.start(self.bucket, meta, condition, content_type)
        place = f"{self.gcs.url}/upload/storage/v1/b/{self.bucket}/o?uploadType=resumable&upload_id={number}"
        return Answer(200, headers={"Location": place})

    def _chunk(self) -> Answer:
        result = self.objects.go_on(self.query["upload_id"], self.headers["Content-Range"], self.body)
        if isinstance(result, dict):
            return _json(result)
        return Answer(308, headers={"Range": f"bytes=0-{result - 1}"} if result else {})

    _probe = _chunk

    def _damaged_body(self) -> bytes:
        boundary = re.search(r'boundary="(.+)"', self.headers["Content-Type"] or "")
        if boundary is None:
            return damaged(self.body)
        end = self.body.rindex(b"\r\n--" + boundary[1].encode())
        return damaged(self.body[:end]) + self.body[end:]

    def _violates(self) -> None:
        self.gcs.violations.append(f"{self.command} {self.path}")

    def _send(self, answer: Answer, cut: bool = False) -> None:
        head = [f"HTTP/1.1 {answer.status} {answer.status}", f"Content-Length: {len(answer.body)}"]
        head += [f"{name}: {value}" for name, value in answer.headers.items()]
        body = answer.body[: len(answer.body) // 2] if cut else answer.body
        self.close_connection = cut
        self.wfile.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())


def _json(value: dict, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=UTF-8"})


def _error(status: int, words: str, plain: bool = False) -> Answer:
    """The service tells errors in JSON, and those of media reads as plain text."""
    if plain:
        return Answer(status, words.encode(), {"Content-Type": "text/html; charset=UTF-8"})
    return _json({"error": {"code": status, "message": words}}, status)
