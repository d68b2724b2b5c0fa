"""Images that could not be used for a reason that passes: tried again by a later call, which leaves what an undisturbed one would have left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest

from mammolibs.catalog import Catalog
from mammolibs.errors import BadData
from mammolibs.ingest import ingest_images, writing
from mammolibs.pipeline.data import write_shards_of
from mammolibs.pipeline.options import TrainOptions
from mammolibs.prepare import Contract
from mammolibs.records import Policy
from tests.ingest.test_killed import files

CONTRACT = Contract(canvas_height_px=96, canvas_width_px=64)
QUIET = {"workers": 0, "lanes": 2, "progress": False}


@pytest.fixture
def away(monkeypatch):
    """Ids of images that cannot be read, as when the folder that they lie in is away, though their fingerprint is the same; and ids of those read."""
    gone, read = set(), []
    really = writing.make_packed

    def make_packed(row, **how):
        read.append(row.image_id)
        return really(replace(row, path="/away/film.png") if row.image_id in gone else row, **how)

    monkeypatch.setattr(writing, "make_packed", make_packed)
    monkeypatch.setattr(writing, "SHARD_BYTES", 20_000)
    return gone, read


def changed_at(folder):
    return {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*") if path.is_file()}


def test_too_many_that_were_away_are_no_error_once_they_are_back(rows, tmp_path, away):
    gone, _ = away
    whole = ingest_images(rows, CONTRACT, tmp_path / "whole", **QUIET)
    gone |= {"s-01", "s-04", "s-07", "s-10"}
    with pytest.raises(BadData, match="4 of 12 could not be used"):
        ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET)
    gone.clear()
    assert ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET) == whole
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_stopped_call_tries_what_failed_again_and_keeps_its_shards_where_it_fails_again(rows, tmp_path, away):
    gone, read = away
    gone |= {"s-01", "s-04", "s-10"}
    with pytest.raises(BadData):
        ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET)
    shards = {path: when for path, when in changed_at(tmp_path / "out").items() if path.suffix == ".tar" and path.parent.name != "test"}
    read.clear()
    gone.remove("s-10")
    report = ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET)
    assert len(report.skipped) == 2 and {"s-01", "s-04", "s-10"} <= set(read) <= {"s-01", "s-04", "s-09", "s-10", "s-11"}
    assert shards and shards.items() <= changed_at(tmp_path / "out").items()


def test_a_finished_call_is_done_again_once_an_image_is_back_and_not_before(rows, tmp_path, away):
    gone, read = away
    whole = ingest_images(rows, CONTRACT, tmp_path / "whole", **QUIET)
    gone.add("s-04")
    first = ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET)
    before = changed_at(tmp_path / "out")
    read.clear()
    again = ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET)
    assert again == replace(first, reused=True) and read == ["s-04"] and changed_at(tmp_path / "out") == before
    gone.clear()
    assert ingest_images(rows, CONTRACT, tmp_path / "out", mend=False, **QUIET) == again
    assert ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET) == whole
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_what_the_policy_refused_is_not_tried_again(rows, tmp_path, away):
    _, read = away
    cv2.imwrite(rows[1].path, 255 - cv2.imread(rows[1].path, cv2.IMREAD_UNCHANGED))
    first = ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET)
    assert sum(first.refused.values()) == 1
    read.clear()
    assert ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET) == replace(first, reused=True) and read == []


def test_a_run_that_has_begun_to_train_keeps_its_data(rows, tmp_path, away):
    gone, _ = away
    run = SimpleNamespace(
        contract=CONTRACT, data=tmp_path / "data", policy=Policy(), skipped=tmp_path / "skipped.csv", stage=tmp_path.joinpath
    )
    catalog, options = Catalog(rows=rows, skipped=[]), TrainOptions(run=str(tmp_path), workers=0)
    gone.add("s-04")
    write_shards_of(run, options, catalog)
    before = files(tmp_path / "data")
    gone.clear()
    (tmp_path / "encoder").mkdir()
    write_shards_of(run, options, catalog)
    assert files(tmp_path / "data") == before
    (tmp_path / "encoder").rmdir()
    write_shards_of(run, options, catalog)
    assert files(tmp_path / "data") != before
