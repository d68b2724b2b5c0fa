"""Derived copies of a catalog: files and rows, tied to their parents whatever the split; resumable; what is bad is listed."""

from __future__ import annotations

import hashlib
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammolibs.catalog import (
    audit_own,
    check_copies,
    fold_rows,
    read_catalog,
    read_skipped,
    read_verdict,
    split_rows,
    write_catalog,
    write_split,
)
from mammolibs.catalog.verdict import Offender
from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.imaging import read_mammogram, read_stored
from mammolibs.imaging.write import write_png16
from mammolibs.ingest import Recipe, derive_images, examine, ingest_images, parse_rotations, prepare_row, read_lesions, read_row
from mammolibs.ingest.copies import equalise
from mammolibs.prepare import Contract
from mammolibs.records import Lesion, Outline, Policy
from tests.imaging.make import dicom_bytes

CONTRACT = Contract(canvas_height_px=96, canvas_width_px=64)
QUIET = {"workers": 0, "progress": False}
TURNED = Recipe(rotations=(30.0, -15.0), clahe_clip=2.0)
SHORT = Recipe(rotations=(30.0,))
SCRIPT = Path(__file__).parents[2] / "dataset_enhancement" / "augment.py"


def copies_of(report):
    return {row.image_id: row for row in report.rows if row.parent_id}


def files(folder):
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def times(folder):
    return {p: p.stat().st_mtime_ns for p in Path(folder).rglob("*.*")}


def test_every_training_image_gets_its_copies_and_they_are_its_own(rows, tmp_path):
    report = derive_images(rows, TURNED, tmp_path / "out", **QUIET)
    copies, by_id = copies_of(report), {row.image_id: row for row in rows}
    assert (report.made, report.kept, report.skipped) == (30, 0, ())
    assert list(report.rows) == sorted([*rows, *copies.values()], key=lambda row: row.image_id)
    names = ("clahe2", "r30", "r30+clahe2", "r-15", "r-15+clahe2")
    assert set(copies) == {f"{row.image_id}+{name}" for row in rows[:6] for name in names}
    for copy in copies.values():
        parent = by_id[copy.parent_id]
        assert (copy.patient_id, copy.exam_id, copy.split) == (parent.patient_id, parent.exam_id, parent.split)
        assert (copy.source, copy.pathology, copy.frame, copy.bits) == (parent.source, parent.pathology, 0, 16)
        stored = read_stored(copy.path).frames[0]
        assert stored.dtype == np.uint16 and Path(copy.path).parent == tmp_path / "out" / "copies" / parent.image_id


def test_clahe_of_the_upright_image_is_opencvs(rows, tmp_path):
    copies = copies_of(derive_images(rows, Recipe(clahe_clip=3.0), tmp_path, **QUIET))
    wanted = cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8)).apply(cv2.imread(rows[0].path, cv2.IMREAD_UNCHANGED))
    assert np.array_equal(read_stored(copies["s-00+clahe3"].path).frames[0], wanted.astype(np.uint16) * 257)


def test_a_lesion_lies_on_what_it_lay_on(rows, tmp_path):
    """A bright disc is drawn where the lesion is; on every copy the lesion's pixels are the bright ones."""
    film = (cv2.imread(rows[0].path, 0) * 0.7).astype(np.uint8)
    cv2.circle(film, (60, 130), 12, 255, -1)
    cv2.imwrite(rows[0].path, film)
    cv2.imwrite(str(tmp_path / "mask.png"), np.where(film == 255, 255, 0).astype(np.uint8))
    drawn = Lesion(lesion_id="m", pathology="malignant", outline=Outline(shape="mask", path=str(tmp_path / "mask.png")))
    row = replace(rows[0], lesions=(rows[0].lesions[0], drawn))
    copies = copies_of(derive_images([row], Recipe(rotations=(30.0, 200.0), longest_px=200, normalise=True), tmp_path / "out", **QUIET))
    assert len(copies) == 3
    for copy in copies.values():
        image = read_row(copy).pixels
        bright = image > 0.8
        for lesion in copy.lesions:
            mask = read_lesions(replace(copy, lesions=(lesion,)), image.shape).mask.astype(bool)
            assert (mask & bright).sum() / (mask | bright).sum() > 0.85, (copy.image_id, lesion.lesion_id)
            assert np.argwhere(mask).mean(0) == pytest.approx(np.argwhere(bright).mean(0), abs=0.3)


def test_spacing_grows_as_the_image_shrinks_and_stays_when_it_turns(rows, tmp_path):
    copies = copies_of(derive_images(rows, Recipe(rotations=(90.0,), longest_px=120), tmp_path / "out", **QUIET))
    upright, turned = copies["s-00+s120"], copies["s-00+r90+s120"]
    assert upright.spacing_mm == pytest.approx(1.0) == turned.spacing_mm
    assert read_stored(upright.path).frames.shape == (1, 120, 100) and read_stored(turned.path).frames.shape == (1, 100, 120)
    circle = upright.lesions[0].outline
    assert (circle.points[0], circle.radius_px) == (pytest.approx((29.75, 64.75)), pytest.approx(6))
    unknown = copies_of(derive_images([replace(row, spacing_mm=None) for row in rows], TURNED, tmp_path / "other", **QUIET))
    assert {copy.spacing_mm for copy in unknown.values()} == {None}


def test_what_only_the_header_said_goes_into_the_row(rows, tmp_path):
    pixels = cv2.imread(rows[0].path, 0).astype(np.uint16) * 16
    header = {"ImagerPixelSpacing": [0.1, 0.1], "EstimatedRadiographicMagnificationFactor": 1.25}
    header |= {"Manufacturer": "ACME", "ImageLaterality": "L"}
    Path(tmp_path / "a.dcm").write_bytes(dicom_bytes(pixels, bits=12, **header))
    row = replace(rows[0], path=str(tmp_path / "a.dcm"), spacing_mm=None)
    copy = copies_of(derive_images([row], Recipe(rotations=(10.0,)), tmp_path / "out", **QUIET))["s-00+r10"]
    assert (copy.spacing_mm, copy.maker, copy.laterality) == (pytest.approx(0.08), "ACME", "L")


def test_a_turned_file_is_copied_as_it_is_read(rows, tmp_path):
    row = replace(rows[0], chest_wall="right")
    copy = copies_of(derive_images([row], Recipe(clahe_clip=2.0), tmp_path / "out", **QUIET))["s-00+clahe2"]
    assert copy.chest_wall == "right" and prepare_row(copy, CONTRACT).sample.placement.mirrored
    upright = np.rint(read_mammogram(rows[0].path).pixels * np.float32(65535)).astype(np.uint16)
    assert np.array_equal(read_stored(copy.path).frames[0], equalise(np.ascontiguousarray(upright[::-1, ::-1]), 2.0))


@pytest.mark.parametrize("number", [0, 1])
def test_the_chest_wall_comes_to_the_left_however_a_copy_is_turned(rows, tmp_path, number):
    row = replace(rows[number], laterality="LR"[number])
    recipe = Recipe(rotations=(5.0, -15.0, 30.0, 170.0, 180.0, 90.0))
    copies = copies_of(derive_images([row], recipe, tmp_path / "out", **QUIET))
    right = prepare_row(row, CONTRACT).sample.placement.mirrored
    assert right == (number == 1)
    for name, mirrored in {"r5": right, "r-15": right, "r30": right, "r170": not right, "r180": not right}.items():
        copy = copies[f"{row.image_id}+{name}"]
        assert prepare_row(copy, CONTRACT).sample.placement.mirrored == mirrored, name
        verdict, _ = examine(read_row(copy), CONTRACT, Policy(), "train")
        assert ("side_contradicts_pixels" in verdict.codes) == (mirrored != right), name
    assert copies[f"{row.image_id}+r90"].chest_wall == ""


def test_copies_stay_with_their_parent_whatever_the_split(rows, tmp_path):
    rows = [replace(row, split="") for row in rows]
    derived = derive_images(split_rows(rows, seed=0), replace(SHORT, splits=("train", "validation", "test")), tmp_path, **QUIET).rows
    assert len(derived) == 12 * 2
    parents_elsewhere = set()
    for seed in range(20):
        for chosen in (split_rows(derived, seed=seed), fold_rows(derived, folds=3, fold=seed % 3, seed=seed)):
            place = {row.image_id: row for row in chosen}
            assert all(row.split == place[row.parent_id].split for row in chosen if row.parent_id)
            check_copies(chosen)
            parents_elsewhere.add(place["s-00"].split)
    assert parents_elsewhere == {"train", "validation", "test"}


@pytest.mark.parametrize(("name", "value"), [("split", "test"), ("patient_id", "s/9"), ("exam_id", "s/9")])
@pytest.mark.parametrize("with_parent", [True, False])
def test_a_copy_that_left_its_parent_is_refused(rows, tmp_path, name, value, with_parent):
    derived = derive_images(rows[2:3], replace(SHORT, clahe_clip=2.0), tmp_path / "out", **QUIET).rows
    check_copies(derived)
    strayed = [replace(row, **{name: value}) if row.image_id == "s-02+r30" else row for row in derived if with_parent or row.parent_id]
    with pytest.raises(BadData, match=f"s-02.* is a copy of s-02, and its {name} is"):
        check_copies(strayed)
    with pytest.raises(BadData, match="is a copy of s-02"):
        ingest_images(strayed, CONTRACT, tmp_path / "shards", lanes=1, **QUIET)
    if name != "split" and with_parent:
        with pytest.raises(BadData, match=f"is of another {name.removesuffix('_id')}: it could end in another split"):
            split_rows(strayed, seed=0)


def test_a_second_run_does_nothing(rows, tmp_path):
    first = derive_images(rows, SHORT, tmp_path / "out", **QUIET)
    before = times(tmp_path / "out")
    again = derive_images(rows, SHORT, tmp_path / "out", **QUIET)
    assert times(tmp_path / "out") == before and len(before) == 6 + 6
    assert again.rows == first.rows and (again.made, again.kept) == (0, 6)


def test_another_split_makes_no_copy_anew(rows, tmp_path):
    derive_images(rows, SHORT, tmp_path, **QUIET)
    again = derive_images([replace(row, split="validation") for row in rows], replace(SHORT, splits=("validation",)), tmp_path, **QUIET)
    assert (again.made, again.kept) == (6, 6) and {row.split for row in again.rows} == {"validation"}


def test_work_goes_on_where_it_stopped(rows, tmp_path):
    derive_images(rows, SHORT, tmp_path / "whole", **QUIET)
    derive_images(rows, SHORT, tmp_path / "out", **QUIET)
    (tmp_path / "out" / "copies" / "s-01" / "made.json").unlink()
    (tmp_path / "out" / "copies" / "s-01" / ".r30.png.half").write_bytes(b"cut")
    (tmp_path / "out" / "copies" / "s-02" / "r30.png").unlink()
    (tmp_path / "out" / "copies" / "s-03" / "made.json").write_text("{")
    again = derive_images(rows, SHORT, tmp_path / "out", **QUIET)
    assert (again.made, again.kept) == (3, 3)
    made = {name: digest for name, digest in files(tmp_path / "whole").items() if name.endswith(".png")}
    assert {name: digest for name, digest in files(tmp_path / "out").items() if not name.endswith(".json")} == made


def test_another_recipe_or_input_leaves_nothing_of_the_old(rows, tmp_path):
    derive_images(rows[:2], TURNED, tmp_path, **QUIET)
    assert derive_images(rows[:2], SHORT, tmp_path, **QUIET).made == 2
    assert len(list((tmp_path / "copies").rglob("*.*"))) == 4
    cv2.imwrite(rows[0].path, cv2.imread(rows[0].path, 0) // 2)
    again = derive_images(rows[:2], SHORT, tmp_path, **QUIET)
    assert (again.made, again.kept) == (1, 1)


def test_a_pool_gives_the_same_bytes_and_lists_what_is_damaged(rows, tmp_path):
    Path(rows[1].path).write_bytes(Path(rows[1].path).read_bytes()[:500])
    alone = derive_images(rows, SHORT, tmp_path / "one", **QUIET)
    pooled = derive_images(rows, SHORT, tmp_path / "two", **QUIET | {"workers": 2})
    pictures = [{name: digest for name, digest in files(tmp_path / part).items() if name.endswith(".png")} for part in ("one", "two")]
    assert pictures[0] == pictures[1] and len(pictures[0]) == 5
    ((file, reason),) = pooled.skipped
    assert pooled.skipped == alone.skipped and file == rows[1].path and "cut short" in reason
    assert pooled.made == 5 and "s-01" in {row.image_id for row in pooled.rows}
    assert "s-01" not in {copy.parent_id for copy in copies_of(pooled).values()}


def test_what_the_policy_refuses_has_no_copies(rows, tmp_path):
    strict = Policy().changed({"train": {"unknown_view": "refuse"}})
    seen = [replace(row, view="CC") if row.image_id != "s-03" else row for row in rows]
    report = derive_images(seen, SHORT, tmp_path, policy=strict, **QUIET)
    assert report.made == 5 and report.skipped[0][0] == rows[3].path and "unknown_view" in report.skipped[0][1]


def test_each_fault_costs_its_image(rows, tmp_path):
    outside = replace(rows[0].lesions[0], outline=Outline(shape="circle", points=((900.0, 9.0),), radius_px=5))
    faults = [replace(rows[0], lesions=(outside,)), replace(rows[1], image_id="../s-01"), replace(rows[2], path=str(tmp_path / "gone.png"))]
    report = derive_images([*faults, *rows[3:]], SHORT, tmp_path / "out", skip_share=0.5, **QUIET)
    told = dict(report.skipped)
    assert report.made == 3
    assert "lies outside the image" in told[rows[0].path] and "cannot name a folder" in told[rows[1].path]
    assert "not there any more" in told[faults[2].path]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["films", "out"]
    with pytest.raises(BadData, match="3 of 6 could not be used, allowed are 20%"):
        derive_images([*faults, *rows[3:]], SHORT, tmp_path / "out", **QUIET)


def test_a_disk_that_fills_costs_no_image(rows, tmp_path, monkeypatch):
    def full(path, pixels):
        if path.parent.name == "s-02":
            raise BadFile(path, "cannot be written (No space left on device)")
        write_png16(path, pixels)

    monkeypatch.setattr("mammolibs.ingest.derive.write_png16", full)
    with pytest.raises(BadFile, match="s-02.*No space left"):
        derive_images(rows, SHORT, tmp_path, **QUIET)
    monkeypatch.undo()
    report = derive_images(rows, SHORT, tmp_path, **QUIET)
    assert (report.made, report.kept, report.skipped) == (4, 2, ())


def test_a_catalog_is_not_replaced_by_the_one_with_copies(rows, tmp_path, monkeypatch, capsys):
    write_catalog(tmp_path / "catalog.parquet", rows)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--catalog", str(tmp_path), "--out", f"{tmp_path}/.", "--clahe", "2", "--workers", "0"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert stop.value.code == 2 and "choose another folder" in capsys.readouterr().err
    assert read_catalog(tmp_path / "catalog.parquet") == sorted(rows, key=lambda row: row.image_id)


def test_copies_of_copies_are_not_made(rows, tmp_path):
    derived = derive_images(rows, Recipe(clahe_clip=2.0), tmp_path / "out", **QUIET).rows
    with pytest.raises(BadData, match=r"s-00\+clahe2: the catalog holds this copy already"):
        derive_images(derived, Recipe(clahe_clip=2.0), tmp_path / "more", **QUIET)
    more = derive_images(derived, Recipe(rotations=(5.0,)), tmp_path / "more", **QUIET)
    assert more.made == 6 and {copy.parent_id for copy in copies_of(more).values()} == {row.image_id for row in rows[:6]}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"rotations": (0.0,)}, "not 0"),
        ({"rotations": (30.0, 390.0)}, "each angle once"),
        ({"clahe_clip": 0.0}, "clip limit is 0"),
        ({"longest_px": 3}, "16 or more"),
        ({"splits": ("dev",), "normalise": True}, "'dev'"),
        ({}, "nothing to make"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(values, told):
    with pytest.raises(BadConfig, match=told):
        Recipe(**values)


def test_what_cannot_be_done_is_said_first(rows, tmp_path):
    with pytest.raises(BadConfig, match="copies are written to a folder"):
        derive_images(rows, TURNED, "gs://bucket/out", **QUIET)
    with pytest.raises(BadData, match="no image of train"):
        derive_images([replace(row, split="test") for row in rows], TURNED, tmp_path, **QUIET)
    with pytest.raises(BadConfig, match="degrees with commas"):
        parse_rotations("15;30")


def test_the_script_makes_a_catalog_that_shards_are_made_from(rows, tmp_path, monkeypatch, capsys):
    Path(rows[1].path).write_bytes(b"\x89PNG\r\n\x1a\nno more")
    write_catalog(tmp_path / "data" / "catalog.parquet", rows)
    pair = {"near-duplicate pixels": (Offender("s-00 and s-11", ("test", "train")),)}
    write_split(tmp_path / "data" / "split.json", rows, seed=0, verdict=replace(audit_own(rows), leaks=pair))
    places = ["--catalog", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *places, "--rotate=-20,20", "--normalise", "--workers", "0"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert not stop.value.code and "images 12, copies made 15, kept from before 0; images skipped 1" in capsys.readouterr().out
    assert [item.item for item in read_skipped(tmp_path / "out" / "skipped.csv")] == [rows[1].path]
    # These films tear one patient apart, and the new split says so; what was known of it before stays known.
    told = read_verdict(tmp_path / "out" / "split.json").offences("test")
    assert told == {"patient overlap": "1 patient", "near-duplicate pixels": "1 pair"}
    derived = [row for row in read_catalog(tmp_path / "out" / "catalog.parquet") if row.image_id != "s-01"]
    assert ingest_images(derived, CONTRACT, tmp_path / "shards", lanes=1, **QUIET).written == {"train": 5 + 15, "validation": 3, "test": 3}
    parent, copy = (prepare_row(row, CONTRACT).sample for row in derived if row.image_id in ("s-00", "s-00+roi"))
    assert np.array_equal(parent.mask, copy.mask) and np.abs(parent.image.astype(int) - copy.image).mean() < 1000
