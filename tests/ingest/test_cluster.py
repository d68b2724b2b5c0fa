"""A Dask cluster of two processes: the bytes of one machine, and what becomes of images and workers that die."""

from __future__ import annotations

import pickle
import re
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed import KilledWorker, LocalCluster

from mammolibs.errors import BadConfig, BadData, BadFile, RuntimeUnavailable
from mammolibs.imaging.pool import one_thread
from mammolibs.ingest import cluster, ingest_images, ingest_patches, normal_requests
from mammolibs.ingest.cluster import Cluster, open_cluster
from mammolibs.prepare import Contract
from tests.imaging.pool_jobs import behave
from tests.ingest.test_killed import files

CONTRACT = Contract(canvas_height_px=96, canvas_width_px=64, patch_mm=16, patch_size_px=32)


@pytest.fixture(scope="module")
def scheduler():
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1") as made:
        yield made.scheduler_address


def answers(scheduler, items, timeout_s=30.0):
    with open_cluster(scheduler, sees=None) as found:
        return list(found.map(behave, items, timeout_s=timeout_s, describe=lambda item: f"{item[0]}.dcm", initializer=one_thread))


def test_a_cluster_writes_the_bytes_of_one_machine(scheduler, rows, tmp_path):
    Path(rows[1].path).write_bytes(b"no image")
    for name, how in (("cluster", {"scheduler": scheduler}), ("here", {"workers": 0})):
        ingest_patches(normal_requests(rows, 2), CONTRACT, tmp_path / name, lanes=2, progress=False, **how)
    assert files(tmp_path / "cluster") == files(tmp_path / "here")
    assert len(files(tmp_path / "here")) > 6


def test_an_image_that_kills_its_worker_is_skipped_and_the_others_arrive(scheduler):
    items = [("double", n) for n in range(9)]
    items[2:2] = [("die", 0), ("ours", 0)]
    found = answers(scheduler, items)
    assert [found[n] for n in (0, 1, *range(4, 11))] == [2 * n for n in range(9)]
    assert "die.dcm: ended the process that read it (signal 11)" in str(found[2]) and isinstance(found[3], BadData)


class Done:
    """A future of a cluster whose workers die with every group that holds item 13."""

    def __init__(self, work, jobs, key):
        self.items = [pickle.loads(job)[1] for _, job in jobs]

    def result(self, timeout):
        if 13 in self.items:
            raise KilledWorker("task", last_worker=None, allowed_failures=3)
        return [pickle.dumps(2 * item) for item in self.items]


def test_of_a_group_that_ends_the_clusters_own_workers_only_the_guilty_item_is_skipped(monkeypatch):
    client = SimpleNamespace(submit=Done, nthreads=lambda: {"tcp://a": 1, "tcp://b": 1})
    waited = []
    monkeypatch.setattr(cluster, "wait", waited.append)
    how = {"timeout_s": 1.0, "describe": lambda item: f"{item}.dcm", "initializer": one_thread}
    found = list(Cluster(client, "tcp://c").map(abs, range(100), **how))
    assert [found[n] for n in range(100) if n != 13] == [2 * n for n in range(100) if n != 13]
    assert isinstance(found[13], BadFile) and "13.dcm: ended the cluster's workers that were at it (KilledWorker); leave it" in str(found[13])
    # It was done once more, with nothing beside it.
    assert len(waited) == 1 and all(isinstance(future, Done) for future in waited[0])


def test_workers_that_are_others_or_see_nothing_are_refused_by_name(scheduler, tmp_path, monkeypatch):
    (tmp_path / "a.dcm").touch()
    ours = cluster.identity()
    monkeypatch.setattr(cluster, "identity", lambda: ours | {"numpy": "1.0"})
    with pytest.raises(RuntimeUnavailable, match=r"^tcp://127.*: numpy is \S+ there and 1.0 here; install the same requirements.txt"):
        answers(scheduler, [("double", 1)])
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
        with pytest.raises(RuntimeUnavailable, match=f"^{re.escape(address)}: no Dask scheduler answers .*; start one with `dask scheduler`"):
            ingest_images(rows, CONTRACT, tmp_path / "out", scheduler=address, progress=False)
        assert time.monotonic() - began < 20
    assert files(tmp_path / "out") == before
    with pytest.raises(BadConfig, match="--scheduler nowhere:.*; write tcp://HOST:PORT"):
        ingest_images(rows, CONTRACT, tmp_path / "out", scheduler="nowhere://", progress=False)
