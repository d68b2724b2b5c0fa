"""A temporary folder without room costs no image: the call ends with one line, and goes on later."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from mammolibs.errors import BadFile, RuntimeUnavailable
from mammolibs.ingest import ingest_images
from mammolibs.prepare import Contract
from mammolibs.shards import write
from mammolibs.storage import local_file, places
from tests.ingest.test_images import all_samples
from tests.storage.gcs_server import GcsServer

CONTRACT = Contract(canvas_height_px=96, canvas_width_px=64)
QUIET = {"workers": 0, "lanes": 2, "progress": False}


@pytest.fixture
def in_bucket(rows, monkeypatch):
    """The rows, with their films in a bucket."""
    with GcsServer("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        for row in rows:
            server.put("bucket", f"raw/{row.image_id}.png", Path(row.path).read_bytes())
        yield [replace(row, path=f"gs://bucket/raw/{row.image_id}.png") for row in rows]


def test_images_that_find_no_room_are_not_skipped(in_bucket, tmp_path, monkeypatch):
    really, copies = Path.write_bytes, []

    def write_bytes(path, data):
        copies.append(path)
        return really(Path("/dev/full") if len(copies) == 5 else path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(RuntimeUnavailable, match=r"^/.*: cannot be written .No space left on device.; free some disk space or set TMPDIR$"):
        ingest_images(in_bucket, CONTRACT, tmp_path / "out", **QUIET)
    assert ingest_images(in_bucket, CONTRACT, tmp_path / "out", **QUIET).skipped == ()
    assert len(all_samples(tmp_path / "out")) == len(in_bucket)


def test_an_object_may_have_a_longer_name_than_a_file():
    class Objects:
        read = staticmethod(str.encode)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(places, "open_store", lambda _: Objects)
        with local_file(f"gs://bucket/raw/{'n' * 400}.png") as path:
            assert len(path.read_bytes()) == 404 and path.suffix == ".png"


def test_shards_that_find_no_room_are_told_with_the_folder(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "SPOOL_BYTES", 1000)
    with monkeypatch.context() as full:
        full.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/full", "w+b"))
        with pytest.raises(BadFile, match=f"^{tempfile.gettempdir()}: cannot be written .No space left on device.; free .* in TMPDIR$"):
            ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET)
    assert ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET).skipped == ()
