"""A bucket of Google Cloud Storage as a store. Imported where a `gs://` address is opened, and nowhere else.

Every call is one request as long as nothing fails. Passing faults (429, 5xx, broken connections,
bodies cut short) are tried again with growing waits until a deadline, each time from the first
byte: bytes pieced together from two answers have no checksum to hold them against.
"""

from __future__ import annotations

import base64
import contextlib
import os
import threading
import uuid
from collections.abc import Callable
from typing import TypeVar

import google_crc32c
from google.api_core import exceptions as api
from google.api_core.retry import Retry
from google.auth import exceptions as auth
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from mammolibs.errors import BadConfig, BadFile, MammolibsError, RuntimeUnavailable
from mammolibs.storage.store import ChangedByAnother

T = TypeVar("T")

SCHEME = "gs://"
_FAULTS = (api.GoogleAPIError, auth.GoogleAuthError, InvalidResponse, DataCorruption, OSError)
_TRIES_AT_WRONG_BYTES = 3
_MARK = "mammolibs-write"
_LOGIN = "run `gcloud auth application-default login`, or name a key file in GOOGLE_APPLICATION_CREDENTIALS"
_held = threading.local()


class GcsStore:
    """`gs://bucket/prefix` as a Store and a GuardedStore.

    Credentials are those that Google's libraries find; with STORAGE_EMULATOR_HOST=http://HOST:PORT
    none are sent. The store can be pickled: each process makes its own client at its first call, to the
    place that the store was made for, whatever its own environment says.

    Every method raises BadFile where bucket or object is missing, out of bounds for this account or
    damaged, and RuntimeUnavailable where there are no valid credentials, or no answer within `deadline`
    seconds; that is looked at between two tries, so the last one may take `answer_timeout` more.
    After the second kind a write may or may not have happened.
    """

    def __init__(self, location: str, *, deadline: float = 120.0, answer_timeout: float = 60.0, first_wait: float = 1.0):
        """Raises BadConfig where the location names no bucket."""
        bucket, _, prefix = str(location).removeprefix(SCHEME).partition("/")
        if not bucket or not str(location).startswith(SCHEME):
            raise BadConfig(f"{location}: names no bucket; write {SCHEME}BUCKET/PREFIX")
        prefix = prefix.strip("/")
        self.location = f"{SCHEME}{bucket}" + (f"/{prefix}" if prefix else "")
        self.deadline = deadline
        self.answer_timeout = answer_timeout
        self.first_wait = first_wait
        self._bucket_name = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._emulator = os.environ.get("STORAGE_EMULATOR_HOST")

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """One answer is one generation. A whole read is held against its crc32c, a ranged read has its length alone."""
        if length == 0:
            self.size(name)
            return b""
        data = self._download(name, start, length)[0]
        if length is not None and len(data) != length:
            problem = f"gives {len(data)} bytes from byte {start} on, {length} expected"
            raise BadFile(self._address(name), problem, "make it again; it was cut short")
        return data

    def read_with_generation(self, name: str) -> tuple[bytes, int]:
        return self._download(name, 0, None)

    def generation(self, name: str) -> int:
        there = self._look(name)
        return there.generation if there else 0

    def write(self, name: str, data: bytes) -> None:
        """Whole or not at all, refused by the service where the bytes that arrive are others. The last of several writers stays."""
        self._upload(name, data)

    def write_if(self, name: str, data: bytes, generation: int) -> int:
        # An answer can be lost after the object was written. The next try then meets what this very call wrote.
        mark = uuid.uuid4().hex
        try:
            return self._upload(name, data, generation, mark)
        except ChangedByAnother:
            there = self._look(name)
            if there is None or (there.metadata or {}).get(_MARK) != mark:
                raise
            return there.generation

    def exists(self, name: str) -> bool:
        return self._look(name) is not None

    def size(self, name: str) -> int:
        there = self._look(name)
        if there is None:
            raise _is_missing(self._address(name))
        return there.size

    def list(self, prefix: str = "") -> list[str]:
        """One request per 1000 names. What the console makes as folders (empty objects, "/" at the end) is left out."""
        return sorted(self._listed(prefix, "name"))

    def checksums(self, prefix: str = "") -> dict[str, tuple[int, int]]:
        """name -> (bytes, crc32c) of what `list` lists, with as many requests."""
        return {name: _sums(blob) for name, blob in self._listed(prefix, "name,size,crc32c").items()}

    def checksum(self, name: str) -> tuple[int, int] | None:
        """(bytes, crc32c) of one object, None where it is not there. Needs no right to list."""
        there = self._look(name)
        return None if there is None else _sums(there)

    def _listed(self, prefix: str, fields: str) -> dict[str, storage.Blob]:
        def blobs(bucket: storage.Bucket) -> dict[str, storage.Blob]:
            # Each page has tries of its own, or one fault would begin a long list again.
            options = {"fields": f"items({fields}),nextPageToken", "timeout": self.answer_timeout, "retry": self._retry()}
            return {blob.name: blob for blob in bucket.list_blobs(prefix=self._prefix + prefix, **options)}

        found = self._call("", "listed", blobs)
        return {name.removeprefix(self._prefix): blob for name, blob in found.items() if not name.endswith("/")}

    def delete(self, name: str) -> None:
        def remove(bucket: storage.Bucket) -> None:
            try:
                bucket.blob(self._prefix + name).delete(timeout=self.answer_timeout, retry=None)
            except api.NotFound as error:
                if _is_about_the_bucket(error):
                    raise

        self._call(name, "deleted", remove)

    def _address(self, name: str) -> str:
        return f"{SCHEME}{self._bucket_name}/{self._prefix}{name}".rstrip("/")

    def _bucket(self) -> storage.Bucket:
        return _client_of(self._emulator).bucket(self._bucket_name)

    def _retry(self) -> Retry:
        waits = DEFAULT_RETRY.with_delay(initial=self.first_wait, maximum=32 * self.first_wait, multiplier=2)
        return waits.with_timeout(self.deadline)

    def _call(self, name: str, doing: str, operation: Callable[[storage.Bucket], T]) -> T:
        """Do it, again after passing faults and a few times after wrong bytes; what remains is one error of the family."""
        try:
            bucket = self._bucket()
            for left in reversed(range(_TRIES_AT_WRONG_BYTES)):
                try:
                    return self._retry()(operation)(bucket)
                except (DataCorruption, api.BadRequest) as error:
                    if not left or not _is_wrong_bytes(error):
                        raise
        except _FAULTS as error:
            raise self._told(name, doing, error) from error
        raise AssertionError("the last try returns or raises")

    def _download(self, name: str, start: int, length: int | None) -> tuple[bytes, int]:
        def fetch(bucket: storage.Bucket) -> tuple[bytes, int]:
            blob = bucket.blob(self._prefix + name)
            end = None if length is None else start + length - 1
            as_stored = {"checksum": "crc32c", "raw_download": True, "single_shot_download": True}
            pieces = _Pieces()
            try:
                blob.download_to_file(pieces, start=start or None, end=end, timeout=self.answer_timeout, retry=None, **as_stored)
            except api.RequestRangeNotSatisfiable:
                return b"", 0
            # Of a single piece, which is what arrives, this makes no copy.
            return b"".join(pieces), blob.generation

        return self._call(name, "read", fetch)

    def _upload(self, name: str, data: bytes, generation: int | None = None, mark: str | None = None) -> int:
        data = bytes(data)
        # The service refuses bytes that do not match this, so that no wrong object is ever there to be read.
        checksum = base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()
        options = {"timeout": self.answer_timeout, "retry": None, "checksum": "crc32c", "crc32c_checksum_value": checksum}

        def send(bucket: storage.Bucket) -> int:
            blob = bucket.blob(self._prefix + name)
            if mark:
                blob.metadata = {_MARK: mark}
            try:
                blob.upload_from_string(data, content_type="application/octet-stream", if_generation_match=generation, **options)
            except auth.GoogleAuthError:
                raise
            except ValueError as error:
                # The library cannot go on where the service kept only a part of a chunk: a fault like a broken connection.
                raise ConnectionError(f"the upload stopped part way ({error})") from error
            return blob.generation

        return self._call(name, "written", send)

    def _look(self, name: str) -> storage.Blob | None:
        def look(bucket: storage.Bucket) -> storage.Blob | None:
            blob = bucket.blob(self._prefix + name)
            try:
                blob.reload(timeout=self.answer_timeout, retry=None)
            except api.NotFound as error:
                if _is_about_the_bucket(error):
                    raise
                return None
            return blob

        return self._call(name, "looked at", look)

    def _told(self, name: str, doing: str, error: Exception) -> MammolibsError:
        """The error of the family for one of Google's."""
        address, words = self._address(name), _words(error)
        if isinstance(error, api.NotFound) and (not name or doing == "written" or _is_about_the_bucket(error)):
            remedy = f"check the name, or make it with `gcloud storage buckets create {SCHEME}{self._bucket_name}`"
            return BadFile(f"{SCHEME}{self._bucket_name}", "there is no such bucket", remedy)
        if isinstance(error, api.NotFound):
            return _is_missing(address)
        if isinstance(error, api.PreconditionFailed):
            return ChangedByAnother(address, "another writer has changed it", "read it again; if two runs write here, stop one")
        if isinstance(error, api.Forbidden):
            return BadFile(address, f"may not be {doing} ({words})", "ask the bucket's owner for the role roles/storage.objectUser")
        if isinstance(error, (api.Unauthorized, auth.GoogleAuthError)):
            return RuntimeUnavailable(f"{address}: no valid credentials for Google Cloud ({words}); {_LOGIN}")
        if isinstance(error, api.RetryError):
            last = _words(error.cause) if error.cause else words
            late = f"could not be {doing} within {self.deadline:g} s"
            return RuntimeUnavailable(f"{address}: {late} ({last}); check the network, then run again")
        if _is_wrong_bytes(error):
            problem = f"does not match its checksum (crc32c) in {_TRIES_AT_WRONG_BYTES} tries"
            return BadFile(address, problem, "check the network; then make it again")
        if isinstance(error, api.GoogleAPIError):
            return BadFile(address, f"cannot be {doing} ({words})", "check the address")
        return RuntimeUnavailable(f"{address}: cannot be {doing} ({words}); check the network and STORAGE_EMULATOR_HOST, where it is set")


class _Pieces(list[bytes]):
    """A file for the library to write to: copying 64 MB into a BytesIO takes as long as to receive them."""

    write = list.append


def _sums(blob: storage.Blob) -> tuple[int, int]:
    return blob.size, int.from_bytes(base64.b64decode(blob.crc32c), "big")


def _is_missing(address: str) -> BadFile:
    return BadFile(address, "is not there", "check the name")


def _is_about_the_bucket(error: api.NotFound) -> bool:
    # The service has one code for both and tells them apart in words.
    return "bucket does not exist" in _words(error)


def _is_wrong_bytes(error: Exception) -> bool:
    return isinstance(error, DataCorruption) or (isinstance(error, api.BadRequest) and "crc32c" in _words(error).lower())


def _words(error: Exception) -> str:
    """What the service or the library says, on one line: without the library's envelope of URL and expected codes."""
    text = str(error)
    response = error.response if isinstance(error, api.GoogleAPICallError) else None
    if response is not None and response.text:
        text = response.text
        with contextlib.suppress(ValueError, KeyError, TypeError):
            text = response.json()["error"]["message"]
    return " ".join(str(text).split())[:200]


def _client_of(emulator: str | None) -> storage.Client:
    """This thread's client, so that stores that are opened one after the other share connections and a token.

    One for each thread, since the connections of a client serve few, and for each process: after a fork two would read each
    other's answers.
    """
    key = os.getpid(), emulator, os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if getattr(_held, "key", None) != key:
        endpoint = {"api_endpoint": emulator} if emulator else None
        client = storage.Client(project=None, client_options=endpoint, use_auth_w_custom_endpoint=not endpoint)
        # Else the library asks for the bucket itself beside each call, in a thread, until it gets an answer: for traces that
        # nobody takes, and with a right (storage.buckets.get) that who may use objects need not have.
        client._bucket_metadata_cache = None
        _held.key, _held.client = key, client
    return _held.client
