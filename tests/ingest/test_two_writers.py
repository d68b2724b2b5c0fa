"""make_shards called on a folder that another call is at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mammolibs.engine import claim
from mammolibs.errors import BadFile
from mammolibs.ingest import ingest_images, writing
from mammolibs.prepare import Contract
from tests.ingest.test_images import all_samples
from tests.ingest.test_killed import files

CONTRACT = Contract(canvas_height_px=96, canvas_width_px=64)
QUIET = {"workers": 0, "lanes": 2, "progress": False}


@pytest.mark.parametrize("canvas_width_px", [64, 48])
def test_a_second_writer_is_told_and_harms_nothing(rows, tmp_path, monkeypatch, canvas_width_px):
    ingest_images(rows, CONTRACT, tmp_path / "whole", **QUIET)
    told, really = [], writing.make_packed

    def make_packed(row, **how):
        if row == rows[6]:
            with pytest.raises(BadFile) as error:
                ingest_images(rows, replace(CONTRACT, canvas_width_px=canvas_width_px), tmp_path / "out", **QUIET)
            told.append(str(error.value))
        return really(row, **how)

    monkeypatch.setattr(writing, "make_packed", make_packed)
    ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET)
    assert told == [f"{tmp_path / 'out'}: is in use by another process; wait until it has ended, or take another folder"]
    assert len(all_samples(tmp_path / "out")) == len(rows) and files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_writer_that_failed_holds_nothing_and_a_run_may_hold_the_folder(rows, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(writing, "_write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ingest_images(rows, CONTRACT, tmp_path / "run", **QUIET)
    with claim(tmp_path / "run"):
        assert ingest_images(rows, CONTRACT, tmp_path / "run", **QUIET).skipped == ()


def test_a_folder_that_cannot_be_written_is_told_by_name(rows, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(BadFile, match="out: cannot be written .File exists.; choose a folder that you may write to"):
        ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET)
