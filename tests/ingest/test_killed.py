"""make_shards killed with SIGKILL while it writes: called again it goes on, and leaves the very files of a run that nobody disturbed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import cv2
import pytest

from mammolibs.ingest import ingest_images, ingest_patches, normal_requests, truth_requests, writing
from mammolibs.prepare import Contract
from mammolibs.storage import store as storage

CONTRACT = Contract(canvas_height_px=96, canvas_width_px=64, patch_mm=16, patch_size_px=32)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(writing, "SHARD_BYTES", 20_000)


@pytest.fixture
def rows(rows):
    """Six of the films, of all splits."""
    return [rows[number] for number in (0, 1, 3, 6, 7, 9)]


def images(rows, folder):
    return ingest_images(rows, CONTRACT, folder, lanes=2)


def patches(rows, folder):
    return ingest_patches(truth_requests(rows) + normal_requests(rows, 3), CONTRACT, folder, lanes=2)


def killed_at(moment, make, rows, folder) -> bool:
    """Make the shards in a process of its own that dies just before the file number `moment` gets its name; False where it ends before."""

    def dying():
        # OpenCV's threads do not survive a fork.
        cv2.setNumThreads(0)
        left, really = [moment], os.replace

        def replace(source, target):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            really(source, target)

        storage.os.replace = replace
        make(rows, folder)

    process = multiprocessing.get_context("fork").Process(target=dying)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def files(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


@pytest.mark.parametrize(("make", "moments"), [(images, range(99)), (patches, (3, 8, 13))])
def test_killed_at_a_file_it_goes_on(make, moments, rows, tmp_path):
    Path(rows[1].path).unlink()
    report = make(rows, tmp_path / "whole")
    for moment in moments:
        if not killed_at(moment, make, rows, tmp_path / str(moment)):
            break
        assert make(rows, tmp_path / str(moment)) == report
        assert files(tmp_path / str(moment)) == files(tmp_path / "whole")
    assert moment >= 10


def test_killed_again_and_again_it_still_comes_to_its_end(rows, tmp_path, capfd):
    images(rows, tmp_path / "whole")
    deaths = 0
    while killed_at(5, images, rows, tmp_path / "out"):
        deaths += 1
        assert deaths < 20
    assert deaths >= 2
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    told = [line for line in capfd.readouterr().out.splitlines() if "goes on where it was stopped" in line]
    assert len(told) == deaths and "of 6 images need not be read again" in told[-1]


def test_what_lies_in_finished_shards_is_not_read_again(rows, tmp_path, monkeypatch, capsys):
    images(rows, tmp_path / "whole")
    moment = list(files(tmp_path / "whole")).index("validation/index.json") + 4
    assert killed_at(moment, images, rows, tmp_path / "out")
    assert (tmp_path / "out" / "validation" / "index.json").exists()
    read = []
    really = writing.make_packed
    monkeypatch.setattr(writing, "make_packed", lambda item, **how: read.append(item.split) or really(item, **how))
    images(rows, tmp_path / "out")
    assert set(read) <= {"test"}
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert not list((tmp_path / "out").rglob("journal-*"))
