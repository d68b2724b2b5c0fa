import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammolibs.errors import BadData
from mammolibs.imaging import read_mammogram
from mammolibs.ingest import ingest_images, read_lesions
from mammolibs.ingest.writing import in_order
from mammolibs.prepare import Contract, to_original
from mammolibs.records import Lesion, Outline
from mammolibs.shards import open_index, read_sample, verify
from mammolibs.storage import open_store

CONTRACT = Contract(canvas_height_px=96, canvas_width_px=64)
QUIET = {"workers": 0, "lanes": 2, "progress": False}


def all_samples(folder):
    samples = {}
    for split in ("train", "validation", "test"):
        store = open_store(Path(folder) / split)
        if store.exists("index.json"):
            index = open_index(store)
            verify(store, index)
            samples |= {s.image_id: s for s in (read_sample(store, index, row) for row in range(len(index)))}
    return samples


def fingerprint(folder):
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def test_every_row_becomes_a_sample_of_its_split(rows, tmp_path):
    report = ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET)
    assert report.written == {"train": 6, "validation": 3, "test": 3} and report.skipped == ()
    samples = all_samples(tmp_path / "out")
    for row in rows:
        sample = samples[row.image_id]
        assert sample.split == row.split and sample.image.shape == (96, 64)
        assert sample.label == (row.pathology == "malignant") and sample.has_lesion == bool(row.lesions)
        assert sample.mask.any() == bool(row.lesions)
        assert sample.extra["spacing_mm"] == 0.5


def test_lesions_lie_where_they_lay(rows, tmp_path):
    ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET)
    for sample in all_samples(tmp_path / "out").values():
        for lesion in sample.extra["lesions"]:
            ys, xs = np.nonzero(sample.mask)
            centre = to_original([[xs.mean(), ys.mean()]], sample.placement)[0]
            assert centre == pytest.approx(lesion["centre_original"], abs=1.5)
            assert sample.image[int(lesion["centre"][1]), int(lesion["centre"][0])] > 0


def test_the_same_input_gives_the_same_bytes(rows, tmp_path):
    ingest_images(rows, CONTRACT, tmp_path / "one", **QUIET)
    ingest_images(rows[::-1], CONTRACT, tmp_path / "two", **QUIET)
    assert fingerprint(tmp_path / "one") == fingerprint(tmp_path / "two")


def test_what_is_there_is_not_made_again(rows, tmp_path):
    first = ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET)
    again = ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET)
    assert not first.reused and again.reused and again.written == first.written and again.skipped == first.skipped
    assert not ingest_images(rows, replace(CONTRACT, low_percentile=2), tmp_path / "out", **QUIET).reused
    assert not ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET).reused
    cv2.imwrite(rows[0].path, cv2.imread(rows[0].path, 0) // 2)
    assert not ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET).reused
    (tmp_path / "out" / "test" / "index.json").unlink()
    assert not ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET).reused


def test_a_pool_gives_the_same_bytes_and_lists_what_it_skips(rows, tmp_path):
    Path(rows[4].path).unlink()
    alone = ingest_images(rows, CONTRACT, tmp_path / "one", **QUIET)
    pooled = ingest_images(rows, CONTRACT, tmp_path / "two", **QUIET | {"workers": 2})
    assert alone == pooled and fingerprint(tmp_path / "one") == fingerprint(tmp_path / "two")
    ((file, reason),) = pooled.skipped
    assert file == rows[4].path and "not there any more" in reason
    assert rows[4].image_id not in all_samples(tmp_path / "two")


def test_each_fault_costs_its_image_and_says_why(rows, tmp_path):
    cv2.imwrite(str(tmp_path / "mask.png"), np.full((240, 100), 255, np.uint8))
    (tmp_path / "text.dcm").write_text("no image at all")
    cv2.imwrite(str(tmp_path / "crop.png"), np.linspace(0, 255, 240 * 200).reshape(240, 200).astype(np.uint8))
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((240, 200), np.uint8))
    faults = {
        "lies outside the image": replace(
            rows[0], lesions=(replace(rows[0].lesions[0], outline=Outline(shape="circle", points=((900.0, 9.0),), radius_px=5)),)
        ),
        "aspect differs": replace(
            rows[1], lesions=(Lesion(lesion_id="x", outline=Outline(shape="mask", path=str(tmp_path / "mask.png"))),)
        ),
        "this mask is not there": replace(
            rows[2], lesions=(Lesion(lesion_id="x", outline=Outline(shape="mask", path=str(tmp_path / "gone.png"))),)
        ),
        "is no mask (grey values": replace(
            rows[5], lesions=(Lesion(lesion_id="x", outline=Outline(shape="mask", path=str(tmp_path / "crop.png"))),)
        ),
        "no breast found": replace(rows[3], lesions=(), path=str(tmp_path / "black.png")),
        "": replace(rows[4], path=str(tmp_path / "text.dcm")),
    }
    broken = [*faults.values(), *rows[6:]]
    report = ingest_images(broken, CONTRACT, tmp_path / "out", skip_share=0.5, **QUIET)
    assert len(report.skipped) == 6 and sum(report.written.values()) == 6
    told = dict(report.skipped)
    for fault, row in faults.items():
        assert fault in told[row.path] and "\n" not in told[row.path]


def test_too_much_skipped_is_an_error_and_leaves_nothing_that_looks_finished(rows, tmp_path):
    for row in rows[:3]:
        Path(row.path).unlink()
    with pytest.raises(BadData, match="3 of 12 could not be used, allowed are 20%: 3 x is not there any more"):
        ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET)
    assert not (tmp_path / "out" / "ingest.json").exists()
    assert ingest_images(rows, CONTRACT, tmp_path / "out", skip_share=0.25, **QUIET).written["train"] == 3


def test_nothing_left_is_an_error_whatever_the_share(rows, tmp_path):
    for row in rows:
        Path(row.path).unlink()
    with pytest.raises(BadData, match="12 of 12"):
        ingest_images(rows, CONTRACT, tmp_path / "out", skip_share=1.0, **QUIET)


def test_a_split_that_has_gone_leaves_no_shards(rows, tmp_path):
    ingest_images(rows, CONTRACT, tmp_path / "out", **QUIET)
    ingest_images([row for row in rows if row.split != "test"], CONTRACT, tmp_path / "out", **QUIET)
    assert not (tmp_path / "out" / "test" / "index.json").exists()


@pytest.mark.parametrize(("change", "told"), [({"split": ""}, "split the catalog first"), ({"image_id": "s-01"}, "comes twice")])
def test_a_catalog_that_contradicts_itself_is_refused(rows, tmp_path, change, told):
    with pytest.raises(BadData, match=told):
        ingest_images([replace(rows[0], **change), *rows[1:]], CONTRACT, tmp_path / "out", **QUIET)


def test_no_rows_are_refused(tmp_path):
    with pytest.raises(BadData, match="no rows"):
        ingest_images([], CONTRACT, tmp_path / "out", **QUIET)


def test_a_mask_is_known_only_where_somebody_drew_or_excluded_lesions(rows, tmp_path):
    unknown = [
        replace(rows[1], pathology="benign"),
        replace(rows[2], pathology="malignant", lesions=(Lesion(lesion_id="x"),)),
        rows[0],
        rows[4],
    ]
    ingest_images(unknown, CONTRACT, tmp_path / "out", **QUIET)
    samples = all_samples(tmp_path / "out")
    assert [samples[row.image_id].mask is None for row in unknown] == [True, True, False, False]


def test_every_lane_gets_its_share_of_lesion_images(rows, tmp_path):
    ingest_images([replace(row, split="train") for row in rows], CONTRACT, tmp_path / "out", **QUIET)
    index = open_index(open_store(tmp_path / "out" / "train"))
    lanes = np.array([index.shards[shard].lane for shard in index.numbers["shard"]])
    assert [int((lanes[index.numbers["has_lesion"] == 1] == lane).sum()) for lane in (0, 1)] == [2, 2]


def test_the_catalog_goes_before_the_file(rows, tmp_path):
    assert read_mammogram(rows[0].path).spacing_mm is None
    ingest_images([replace(rows[0], spacing_mm=0.25)], CONTRACT, tmp_path / "out", **QUIET)
    assert all_samples(tmp_path / "out")["s-00"].extra["spacing_mm"] == 0.25


def test_images_in_an_archive_are_made_anew_when_it_is_another(rows, tmp_path):
    def packed():
        with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
            for row in rows[:3]:
                archive.write(row.path, Path(row.path).name)

    packed()
    inside = [replace(row, path=f"zip://{tmp_path}/films.zip/{Path(row.path).name}") for row in rows[:3]]
    assert ingest_images(inside, CONTRACT, tmp_path / "out", **QUIET).written == {"train": 3}
    assert ingest_images(inside, CONTRACT, tmp_path / "out", **QUIET).reused
    cv2.imwrite(rows[0].path, cv2.imread(rows[0].path, 0) // 2)
    packed()
    assert not ingest_images(inside, CONTRACT, tmp_path / "out", **QUIET).reused


def test_results_come_back_in_the_order_of_the_items():
    late = iter([("c", 3), ("a", 1), ("d", 4), ("b", 2)])
    assert list(in_order(late, ["a", "b", "c", "d"])) == [1, 2, 3, 4]


def test_an_image_with_a_lesion_that_nobody_placed_has_no_mask(rows, tmp_path):
    placed, unplaced = rows[0].lesions[0], Lesion(lesion_id="elsewhere", pathology="benign")
    row = replace(rows[0], lesions=(placed, unplaced))
    shape = (240, 200)
    assert read_lesions(rows[0], shape).mask.any()
    assert read_lesions(row, shape).mask is None
