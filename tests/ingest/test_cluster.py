"""A Dask cluster of two processes: the bytes of one machine, and what becomes of images and workers that die."""

from __future__ import annotations

import pickle
import re
import socket
import time
from types import SimpleNamespace

import pytest
from distributed import KilledWorker, LocalCluster

from mammolibs.errors import BadConfig, BadFile, RuntimeUnavailable
from mammolibs.imaging.pool import one_thread
from mammolibs.ingest import cluster, ingest_images, ingest_patches, normal_requests, patches
from mammolibs.ingest.cluster import Cluster, open_cluster
from mammolibs.prepare import Contract
from tests.ingest.cluster_jobs import DEADLY, cut_or_die
from tests.ingest.test_killed import files

CONTRACT = Contract(canvas_height_px=96, canvas_width_px=64, patch_mm=16, patch_size_px=32)


@pytest.fixture(scope="module")
def scheduler():
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1") as made:
        yield made.scheduler_address


def test_a_cluster_writes_the_bytes_of_one_machine_and_skips_what_kills(scheduler, rows, tmp_path, monkeypatch):
    (deadly,) = (row for row in rows if row.image_id == DEADLY)
    with monkeypatch.context() as patched:
        patched.setattr(patches, "_cut_job", cut_or_die)
        found = ingest_patches(normal_requests(rows, 2), CONTRACT, tmp_path / "cluster", lanes=2, scheduler=scheduler, progress=False)
    assert found.skipped == ((deadly.path, "ended the process that read it (signal 11)"),)
    requests = normal_requests([row for row in rows if row != deadly], 2)
    assert ingest_patches(requests, CONTRACT, tmp_path / "here", lanes=2, progress=False).written == found.written
    (tmp_path / "cluster" / "ingest.json").unlink()
    (tmp_path / "here" / "ingest.json").unlink()
    assert files(tmp_path / "cluster") == files(tmp_path / "here") and len(files(tmp_path / "here")) >= 6


class Done:
    """A future of a cluster whose workers die with every group that holds item 13."""

    made = []

    def __init__(self, work, jobs, key):
        self.items, self.ended = [pickle.loads(job)[1] for _, job in jobs], False
        self.made.append(self)

    def exception(self):
        self.ended = True

    def result(self, timeout):
        if 13 in self.items:
            raise KilledWorker("task", last_worker=None, allowed_failures=3)
        return [pickle.dumps(2 * item) for item in self.items]


def test_of_a_group_that_ends_the_clusters_own_workers_only_the_guilty_item_is_skipped():
    client = SimpleNamespace(submit=Done, nthreads=lambda: {"tcp://a": 1, "tcp://b": 1})
    how = {"timeout_s": 1.0, "describe": lambda item: f"{item}.dcm", "initializer": one_thread}
    found = list(Cluster(client, "tcp://c").map(abs, range(100), **how))
    assert [found[n] for n in range(100) if n != 13] == [2 * n for n in range(100) if n != 13]
    assert isinstance(found[13], BadFile) and str(found[13]).startswith("13.dcm: ended the cluster's workers that were at it (Killed")
    (group, *later) = [future for future in Done.made if 13 in future.items or future.ended]
    assert 13 in group.items and len(group.items) > 1
    # Its items were done once more, each alone and after all that was under way.
    assert [future.items for future in Done.made if future.items == [13]] == [[13]] and sum(future.ended for future in later) == 5


def test_a_call_that_was_left_half_way_leaves_nothing_to_the_next():
    found = Cluster(SimpleNamespace(submit=Done, nthreads=lambda: {"tcp://a": 1}), "tcp://c")
    how = {"timeout_s": 1.0, "describe": str, "initializer": one_thread}
    first = found.map(abs, range(100, 200), **how)
    assert next(first) == 200
    first.close()
    assert list(found.map(abs, range(20, 30), **how)) == list(range(40, 60, 2))


def test_workers_that_are_others_or_see_nothing_are_refused_by_name(scheduler, tmp_path, monkeypatch):
    (tmp_path / "a.dcm").touch()
    ours = cluster.identity()
    monkeypatch.setattr(cluster, "identity", lambda: ours | {"numpy": "1.0"})
    with pytest.raises(RuntimeUnavailable, match=r"^tcp://127.*: numpy is \S+ there and 1.0 here; install the same requirements.txt"):
        with open_cluster(scheduler, sees=None):
            pass
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeUnavailable, match="^tcp://127.*: does not see a.dcm; keep the images in a bucket, or in a folder that all"):
        with open_cluster(scheduler, sees="a.dcm"):
            pass


def test_a_scheduler_that_does_not_answer_is_told_within_seconds_and_leaves_the_shards(rows, tmp_path, monkeypatch):
    ingest_images(rows[:6], CONTRACT, tmp_path / "out", lanes=2, progress=False)
    before = files(tmp_path / "out")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr(cluster, "CONNECT_LIMIT_S", 0.5)
        began = time.monotonic()
        with pytest.raises(RuntimeUnavailable, match=f"^{re.escape(address)}: no Dask scheduler answers .*; start one with"):
            ingest_images(rows, CONTRACT, tmp_path / "out", scheduler=address, progress=False)
        assert time.monotonic() - began < 20
    assert files(tmp_path / "out") == before
    with pytest.raises(BadConfig, match="--scheduler nowhere: is no address of a Dask scheduler; write tcp://HOST:PORT"):
        ingest_images(rows, CONTRACT, tmp_path / "out", scheduler="nowhere", progress=False)
