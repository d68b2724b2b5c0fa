from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mammolibs.errors import BadConfig, BadData
from mammolibs.ingest import PatchRequest, ingest_patches, normal_requests, read_lesions, read_row, truth_requests
from mammolibs.prepare import Contract, full_resolution, to_original
from mammolibs.records import Lesion
from mammolibs.shards import open_index, read_sample
from mammolibs.storage import open_store

CONTRACT = Contract(canvas_height_px=96, canvas_width_px=64, patch_mm=16, patch_size_px=32)
QUIET = {"workers": 0, "lanes": 2, "progress": False}


def patches(folder, split="train"):
    store = open_store(Path(folder) / split)
    index = open_index(store)
    return [read_sample(store, index, row) for row in range(len(index))]


def test_true_lesions_stand_in_the_middle_of_their_patches(rows, tmp_path):
    requests = truth_requests(rows)
    assert [(r.lesion_id, r.label) for r in requests] == [("l0", 1), ("l3", 0), ("l6", 1), ("l9", 0)]
    report = ingest_patches(requests, CONTRACT, tmp_path, **QUIET)
    assert report.written == {"train": 2, "validation": 1, "test": 1}
    by_id = {row.image_id: row for row in rows}
    for sample in patches(tmp_path):
        lesion = by_id[sample.extra["parent_id"]].lesions[0]
        assert sample.image_id.startswith(sample.extra["parent_id"] + "#") and sample.image.shape == (32, 32)
        assert sample.label == (lesion.pathology == "malignant") and sample.pathology == lesion.pathology
        assert sample.extra["origin"] == "truth" and sample.extra["lesion_id"] == lesion.lesion_id and sample.has_lesion == 1
        assert sample.extra["centre_original"] == pytest.approx(lesion.outline.points[0], abs=0.1)
        assert to_original([[15.5, 15.5]], sample.placement)[0] == pytest.approx(lesion.outline.points[0], abs=0.51)


def test_a_patch_shows_the_pixels_that_its_placement_names(rows, tmp_path):
    ingest_patches(truth_requests(rows[:4]), CONTRACT, tmp_path, **QUIET)
    by_id = {row.image_id: row for row in rows}
    for sample in patches(tmp_path):
        full = full_resolution(read_row(by_id[sample.extra["parent_id"]]), CONTRACT)
        x0, y0, x1, y1 = sample.placement.crop
        whole = np.zeros(full.original, np.uint16)
        fx0, fy0, fx1, fy1 = full.crop
        whole[fy0:fy1, fx0:fx1] = full.pixels[:, ::-1] if full.mirrored else full.pixels
        cut = whole[y0:y1, x0:x1][:, ::-1] if full.mirrored else whole[y0:y1, x0:x1]
        assert x1 - x0 == 32 and np.array_equal(sample.image, cut)


def test_normal_tissue_lies_inside_the_breast_away_from_lesions(rows, tmp_path):
    report = ingest_patches(normal_requests(rows[:6], 3, seed=1), CONTRACT, tmp_path, **QUIET)
    found = patches(tmp_path)
    assert len(found) + len(report.skipped) == 18 and len(found) >= 15
    by_id = {row.image_id: row for row in rows}
    for sample in found:
        row = by_id[sample.extra["parent_id"]]
        mask = read_lesions(row, (240, 200)).mask
        x0, y0, x1, y1 = sample.placement.crop
        assert not mask[max(0, y0) : y1, max(0, x0) : x1].any()
        assert np.mean(sample.image > 0) > 0.5 and sample.image[16, 16] > 0
        assert (sample.label, sample.has_lesion, sample.extra["origin"]) == (0, 0, "normal")


def test_normal_places_are_named_by_seed_and_image(rows, tmp_path):
    centres = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        ingest_patches(normal_requests(rows[:6], 2, seed=seed), CONTRACT, tmp_path / name, **QUIET)
        centres.append({s.image_id: s.extra["centre_original"] for s in patches(tmp_path / name)})
    assert centres[0] == centres[1] != centres[2]
    assert len({tuple(c) for c in centres[0].values()}) == len(centres[0])


def test_normal_places_keep_apart_where_there_is_room(rows, tmp_path):
    small = replace(CONTRACT, patch_mm=10)
    ingest_patches(normal_requests(rows[:3], 8), small, tmp_path, **QUIET)
    for row in rows[:3]:
        centres = np.array([s.extra["centre_original"] for s in patches(tmp_path) if s.extra["parent_id"] == row.image_id])
        apart = np.abs(centres[:, None] - centres[None]).max(-1) + 99 * np.eye(len(centres))
        assert len(centres) == 8 and apart.min() >= 10


def test_no_normal_tissue_is_cut_where_a_lesion_may_be_unmarked(rows):
    unmarked = [
        replace(rows[1], pathology="malignant"),
        replace(rows[2], lesions=(Lesion(lesion_id="x"),)),
        replace(rows[4], pathology="unknown"),
    ]
    assert normal_requests(unmarked, 2) == [] and truth_requests(unmarked) == []


def test_a_lesion_that_fills_the_breast_leaves_no_place_and_that_is_told(rows, tmp_path):
    lesion = rows[0].lesions[0]
    huge = replace(rows[0], lesions=(replace(lesion, outline=replace(lesion.outline, radius_px=300.0)),))
    report = ingest_patches(normal_requests([huge, *rows[1:6]], 1), CONTRACT, tmp_path, **QUIET)
    assert report.written == {"train": 5} and "has no place on this image" in report.skipped[0][1]


def test_what_a_finder_found_is_cut_where_it_says(rows, tmp_path):
    request = PatchRequest(row=rows[1], label=0, origin="found", centre=(120.0, 100.0), score=0.75)
    ingest_patches([request, replace(request, centre=(100.0, 90.0))], CONTRACT, tmp_path, **QUIET)
    first, second = patches(tmp_path)
    assert first.extra["score"] == 0.75 and first.extra["centre_original"] == [120.0, 100.0]
    assert (first.pathology, first.has_lesion) == ("normal", 0) and first.image_id != second.image_id


def test_a_vanished_image_costs_all_its_patches(rows, tmp_path):
    requests = normal_requests(rows[:6], 2)
    Path(rows[1].path).unlink()
    report = ingest_patches(requests, CONTRACT, tmp_path / "out", **QUIET)
    assert len(report.skipped) == 1 and report.written["train"] == 10
    with pytest.raises(BadData, match="2 of 12"):
        ingest_patches(requests, CONTRACT, tmp_path / "none", skip_share=0.1, **QUIET)


def test_the_same_requests_are_not_cut_again_and_others_are(rows, tmp_path):
    requests = normal_requests(rows[:6], 1)
    assert not ingest_patches(requests, CONTRACT, tmp_path, **QUIET).reused
    assert ingest_patches(requests, CONTRACT, tmp_path, **QUIET).reused
    assert not ingest_patches(requests[:-1], CONTRACT, tmp_path, **QUIET).reused


def test_impossible_requests_are_refused(rows, tmp_path):
    with pytest.raises(BadConfig, match="truth, found, normal"):
        PatchRequest(row=rows[0], label=0, origin="guess")
    with pytest.raises(BadConfig, match="needs its centre"):
        PatchRequest(row=rows[0], label=0, origin="found")
    with pytest.raises(BadData, match="no patches"):
        ingest_patches([], CONTRACT, tmp_path, **QUIET)
