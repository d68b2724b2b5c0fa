"""The objects of the test bucket: generations, preconditions on every verb, checksums, resumable uploads."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from dataclasses import dataclass

import google_crc32c

CHUNK_UNIT = 256 * 1024


@dataclass
class Held:
    """One generation of an object."""

    data: bytes
    generation: int
    metadata: dict
    content_type: str

    @functools.cached_property
    def sums(self) -> dict[str, str]:
        return {"crc32c": crc32c(self.data), "md5Hash": base64.b64encode(hashlib.md5(self.data).digest()).decode()}


class Refused(Exception):
    def __init__(self, status: int, words: str):
        super().__init__(words)
        self.status, self.words = status, words


def crc32c(data: bytes) -> str:
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


class Objects:
    def __init__(self, *buckets: str):
        self.buckets: dict[str, dict[str, Held]] = {name: {} for name in buckets}
        self._sessions: dict[str, dict] = {}
        self._generation = 1_000_000

    def store(self, bucket: str, meta: dict, data: bytes, condition: str | None = None, content_type: str = "") -> Held:
        """A new generation. Raises Refused where the condition does not hold or the bytes are not those that `meta` tells of."""
        self.check(self.bucket(bucket).get(meta["name"]), condition)
        if meta.get("crc32c", crc32c(data)) != crc32c(data):
            raise Refused(400, f'Provided CRC32C "{meta["crc32c"]}" doesn\'t match calculated CRC32C "{crc32c(data)}".')
        self._generation += 1
        held = Held(data, self._generation, meta.get("metadata") or {}, content_type)
        self.buckets[bucket][meta["name"]] = held
        return held

    def bucket(self, name: str) -> dict[str, Held]:
        if name not in self.buckets:
            raise Refused(404, "The specified bucket does not exist.")
        return self.buckets[name]

    def held(self, bucket: str, name: str, query: dict) -> Held:
        there = self.bucket(bucket).get(name)
        if there is None or query.get("generation", str(there.generation)) != str(there.generation):
            raise Refused(404, f"No such object: {bucket}/{name}")
        self.check(there, query.get("ifGenerationMatch"))
        return there

    @staticmethod
    def check(there: Held | None, condition: str | None) -> None:
        if condition is not None and int(condition) != (there.generation if there else 0):
            raise Refused(412, "At least one of the pre-conditions you specified did not hold.")

    def describe(self, bucket: str, name: str, held: Held) -> dict:
        numbers = {"size": str(len(held.data)), "generation": str(held.generation), "metageneration": "1"}
        return {"kind": "storage#object", "name": name, "bucket": bucket, "metadata": held.metadata, **numbers, **held.sums}

    def start(self, bucket: str, meta: dict, condition: str | None, content_type: str) -> str:
        """The number of a new resumable upload."""
        self.check(self.bucket(bucket).get(meta["name"]), condition)
        number = f"session-{len(self._sessions)}"
        self._sessions[number] = {"bucket": bucket, "meta": meta, "condition": condition, "type": content_type, "data": b"", "done": None}
        return number

    def go_on(self, number: str, content_range: str, body: bytes) -> dict | int:
        """Append to a resumable upload, or only look: its object once it is whole, else how many bytes are kept."""
        session = self._sessions.get(number)
        if session is None:
            raise Refused(404, f"No such upload: {number}")
        span = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", content_range)
        if session["done"] is None and span and span[1]:
            start, total = int(span[1]), span[3]
            last = total != "*" and int(span[2]) + 1 == int(total)
            if start > len(session["data"]) or (not last and len(body) % CHUNK_UNIT):
                raise Refused(400, f"Invalid request.  {content_range} does not follow {len(session['data'])} bytes.")
            session["data"] = session["data"][:start] + body
            if total != "*" and len(session["data"]) == int(total):
                session["done"] = self.store(session["bucket"], session["meta"], session["data"], session["condition"], session["type"])
        if session["done"]:
            return self.describe(session["bucket"], session["meta"]["name"], session["done"])
        return len(session["data"])
