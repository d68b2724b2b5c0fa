"""How it is known that images in a bucket are other ones by now: few requests, nothing else listed, and no right to list needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mammolibs.ingest.report import fingerprint
from mammolibs.ingest.stamps import groups_of, stamps
from mammolibs.prepare import Contract
from mammolibs.storage.gcs import GcsStore
from tests.storage.gcs_server import GcsServer


@pytest.fixture
def server(monkeypatch):
    with GcsServer("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        monkeypatch.setitem(GcsStore.__init__.__kwdefaults__, "first_wait", 0.001)
        yield server
        assert server.violations == []


@pytest.fixture
def paths(server):
    """Twenty images of each of two data sets, in folders by patient, beside much else."""
    names = [f"{source}/p{number:02d}/s/{number}.dcm" for source in ("cmmd", "vindr") for number in range(20)]
    for name in names:
        server.put("bucket", name, name.encode())
    for number in range(2500):
        server.put("bucket", f"else/{number}", b"")
    return [f"gs://bucket/{name}" for name in names]


def test_of_two_data_sets_each_is_listed_and_nothing_else(server, paths):
    found = stamps([*paths, "gs://bucket/vindr/gone.dcm"])
    assert server.counts == {"list": 2}
    assert [path for path, stamp in found.items() if stamp is None] == ["gs://bucket/vindr/gone.dcm"]


@pytest.mark.parametrize("count", [1, 40])
def test_who_may_not_list_is_told_the_same_by_one_request_for_each(server, paths, count):
    listed = stamps(paths[:count])
    server.counts.clear()
    server.plant("403", on="list", times=100)
    assert stamps(paths[:count]) == listed and server.counts["stat"] == count
    server.put("bucket", paths[0].removeprefix("gs://bucket/"), b"another")
    assert stamps(paths[:count]) != listed


def test_an_image_that_may_not_be_looked_at_either_costs_no_other(server, paths):
    server.plant("403", on="list", times=100)
    server.plant("403", on="stat")
    found = stamps(paths)
    assert list(found.values()).count(None) == 1


def test_rows_are_others_where_an_image_in_a_bucket_is(server, paths, rows):
    there = [replace(row, path=path, lesions=()) for row, path in zip(rows, paths[14:], strict=False)]
    first = fingerprint(there, Contract())
    server.put("bucket", paths[14].removeprefix("gs://bucket/"), b"another")
    assert fingerprint(there, Contract()) != first


@pytest.mark.parametrize("most", [1, 3, 8, 100])
def test_groups_are_few_and_hold_every_name_once(most):
    names = ["a", "a/b", "a/b/c", "a/d", "deep/er/x1", "deep/er/x2", *(f"many/{n}/i.dcm" for n in range(30))]
    found = groups_of(names, most)
    assert len(found) <= most and sorted(sum(found, [])) == sorted(names)
    if most >= 8:
        assert [name for name in names if name.startswith("many/")] in found or most == 100
    if most == 100:
        assert all(len(group) == 1 for group in found)
