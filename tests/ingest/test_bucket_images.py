"""make_shards.py from a catalog in a bucket whose images lie in a bucket, into a bucket."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mammolibs.catalog import read_skipped, write_catalog
from mammolibs.ingest import ingest_images, writing
from mammolibs.ingest.report import fingerprint
from mammolibs.pipeline.presets import contract_of
from mammolibs.shards import open_index, read_sample, verify
from mammolibs.storage import open_store
from mammolibs.storage.gcs import GcsStore
from tests.storage.gcs_server import GcsServer

ROOT = Path(__file__).resolve().parents[2]
SHARDS = "gs://bucket/mine/shards"


@pytest.fixture
def server(monkeypatch):
    with GcsServer("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        monkeypatch.setitem(GcsStore.__init__.__kwdefaults__, "deadline", 0.5)
        monkeypatch.setitem(GcsStore.__init__.__kwdefaults__, "first_wait", 0.001)
        yield server
        assert server.violations == []


@pytest.fixture
def rows(rows):
    """Six of the films, of all splits."""
    return [rows[number] for number in (0, 1, 2, 3, 6, 9)]


@pytest.fixture
def make(server, rows, monkeypatch, capsys):
    """Brings catalog and films to the bucket; what it gives runs make_shards.py on them: its exit code, and what it printed."""
    monkeypatch.setattr(writing, "SHARD_BYTES", 60_000)
    there = [replace(row, path=f"gs://bucket/raw/{row.image_id}.png") for row in rows]
    for row in rows:
        server.put("bucket", f"raw/{row.image_id}.png", Path(row.path).read_bytes())
    write_catalog("gs://bucket/mine/catalog.parquet", there)

    def run(**flags) -> tuple[int, str]:
        given = [word for name, value in flags.items() for word in (f"--{name}", value)]
        options = ["--catalog", "gs://bucket/mine", "--preset", "cpu", "--workers", "0", "--lanes", "2", *given]
        monkeypatch.setattr("sys.argv", ["make_shards.py", *options])
        with pytest.raises(SystemExit) as done:
            runpy.run_path(str(ROOT / "dataset_enhancement/make_shards.py"), run_name="__main__")
        said = capsys.readouterr()
        return done.value.code or 0, said.out + said.err

    return run


def samples(location):
    found = {}
    for split in ("train", "validation", "test"):
        store = open_store(f"{location}/{split}")
        index = open_index(store)
        verify(store, index)
        assert {name for name in store.list() if name != "index.json"} == {shard.name for shard in index.shards}
        found |= {index.image_ids[row]: read_sample(store, index, row) for row in range(len(index))}
    return found


def test_images_of_a_bucket_become_the_samples_that_files_do(make, server, rows, tmp_path):
    server.put("bucket", "raw/s-02.png", b"no image")
    code, said = make()
    assert code == 0 and "train 3, validation 1, test 1; 1 skipped" in said
    (skipped,) = read_skipped(f"{SHARDS}/skipped.csv")
    assert skipped.item == "gs://bucket/raw/s-02.png"
    ingest_images([row for row in rows if row.image_id != "s-02"], contract_of("cpu"), tmp_path, progress=False)
    there, here = samples(SHARDS), samples(tmp_path)
    assert there.keys() == here.keys()
    for name, sample in here.items():
        np.testing.assert_array_equal(there[name].image, sample.image)
        assert there[name].extra == sample.extra
    code, said = make()
    assert code == 0 and "made before from the same input" in said
    server.put("bucket", "raw/s-02.png", Path(rows[3].path).read_bytes())
    code, said = make()
    assert code == 0 and "train 4, validation 1, test 1; 0 skipped" in said
    replaced = samples(SHARDS)
    np.testing.assert_array_equal(replaced["s-02"].image, replaced["s-03"].image)


def test_a_bucket_that_fails_stops_the_work_which_then_goes_on(make, server):
    """No image is skipped for it."""
    assert make(out="gs://bucket/whole/shards")[0] == 0
    server.plant("", on="read", times=11)
    server.plant("503", on="read", times=10_000)
    code, said = make()
    assert code == 2 and "within 0.5 s" in said and len(said.strip().splitlines()) <= 2
    server._faults.clear()
    code, said = make()
    assert code == 0 and "0 skipped" in said
    assert "goes on where it was stopped" in said
    whole, found = samples("gs://bucket/whole/shards"), samples(SHARDS)
    assert whole.keys() == found.keys()
    for split in ("train", "validation", "test"):
        found, undisturbed = (open_index(open_store(f"{place}/{split}")) for place in (SHARDS, "gs://bucket/whole/shards"))
        assert found.data_hash == undisturbed.data_hash


def test_to_know_one_image_again_its_folder_is_not_listed(server, rows):
    for number in range(1001):
        server.put("bucket", f"raw/{number}.png", b"%d" % number)
    row = replace(rows[0], path="gs://bucket/raw/1000.png", lesions=())

    def known() -> str:
        return fingerprint([row], contract_of("cpu"))

    first = known()
    assert server.counts["list"] == 1 and known() == first
    server.put("bucket", "raw/1000.png", b"another")
    assert known() != first
    many = [replace(row, image_id=str(number), path=f"gs://bucket/raw/{number}.png") for number in range(1001)]
    server.counts.clear()
    assert fingerprint(many, contract_of("cpu")) and server.counts["list"] == 2
