"""A finished set that was damaged: called again, as every error about a shard advises, make_shards makes it again."""

from __future__ import annotations

import pytest

from mammolibs.ingest import ingest_images
from mammolibs.prepare import Contract
from mammolibs.storage.gcs import GcsStore
from tests.ingest.test_killed import files
from tests.storage.gcs_server import GcsServer

CONTRACT = Contract(canvas_height_px=96, canvas_width_px=64)
QUIET = {"workers": 0, "lanes": 2, "progress": False}


def flipped(data: bytes) -> bytes:
    return data[:700] + bytes([data[700] ^ 1]) + data[701:]


@pytest.mark.parametrize("name", ["lane001-00000.tar", "index.json"])
@pytest.mark.parametrize("harm", [lambda _: None, lambda data: data[:-1], flipped], ids=["gone", "cut", "flipped"])
def test_a_damaged_file_of_a_finished_set_is_made_again(rows, tmp_path, name, harm):
    report = ingest_images(rows, CONTRACT, tmp_path, **QUIET)
    before, path = files(tmp_path), tmp_path / "train" / name
    path.unlink()
    if data := harm(before[f"train/{name}"]):
        path.write_bytes(data)
    assert ingest_images(rows, CONTRACT, tmp_path, **QUIET) == report
    assert files(tmp_path) == before
    assert ingest_images(rows, CONTRACT, tmp_path, **QUIET).reused


def test_a_listing_tells_that_the_shards_in_a_bucket_are_whole(rows, monkeypatch):
    with GcsServer("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        to = "gs://bucket/shards"
        ingest_images(rows[:2], CONTRACT, to, **QUIET)
        server.counts.clear()
        assert ingest_images(rows[:2], CONTRACT, to, **QUIET).reused
        # The note and the index are read; the other listing looks for notes of a writer that was stopped.
        assert server.counts["read"] == 2 and server.counts["list"] == 2
        (name, *_) = GcsStore(f"{to}/train").list("lane")
        server.put("bucket", f"shards/train/{name}", b"another")
        assert not ingest_images(rows[:2], CONTRACT, to, **QUIET).reused
        assert ingest_images(rows[:2], CONTRACT, to, **QUIET).reused
        assert server.violations == []
