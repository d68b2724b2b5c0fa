from __future__ import annotations

import pytest

from mammolibs.storage import LocalStore, MemoryStore
from tests.storage.gcs_server import GcsServer


@pytest.fixture
def server(monkeypatch):
    """An empty bucket named "bucket", three names to a page; Google's library is led there."""
    with GcsServer("bucket", page_size=3) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server
        assert server.violations == []


@pytest.fixture
def gcs(server):
    """A bucket's store that waits milliseconds where a run waits seconds."""
    from mammolibs.storage.gcs import GcsStore

    return GcsStore("gs://bucket/runs/a", deadline=20.0, answer_timeout=5.0, first_wait=0.001)


@pytest.fixture(params=["folder", "memory", "bucket"])
def store(request, tmp_path):
    if request.param == "bucket":
        return request.getfixturevalue("gcs")
    return MemoryStore() if request.param == "memory" else LocalStore(tmp_path / "store")


@pytest.fixture(params=["memory", "bucket"])
def guarded(request):
    return request.getfixturevalue("gcs") if request.param == "bucket" else MemoryStore()
