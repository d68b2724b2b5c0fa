import filecmp
import json
from collections import Counter

import cv2
import numpy as np
import pytest

from mammolibs.errors import BadConfig, BadFile
from mammolibs.phantom import TRAPS, Difficulty, make_phantoms
from mammolibs.phantom.make import read_phantoms
from mammolibs.phantom.plan import plan_exam


def _files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_same_seed_same_bytes_whatever_the_workers_and_the_number_of_exams(plain, tmp_path):
    np.random.seed(1)
    again = make_phantoms(tmp_path, exams=2, rows=512, seed=5, workers=2, traps=False, progress=False)
    shared = [name for name in _files(again.folder) if "/" in name]
    assert len(shared) >= 8
    assert filecmp.cmpfiles(plain.folder, again.folder, shared, shallow=False) == (shared, [], [])


def test_the_global_generator_stays_untouched(tmp_path):
    np.random.seed(7)
    expected = np.random.RandomState(7).random()
    make_phantoms(tmp_path, exams=1, rows=512, workers=1, progress=False)
    assert np.random.random() == expected


def test_another_seed_gives_other_bytes(plain, tmp_path):
    other = make_phantoms(tmp_path, exams=1, rows=512, seed=6, workers=1, traps=False, progress=False)
    for row in other.truth:
        assert (other.folder / row["file"]).read_bytes() != (plain.folder / row["file"]).read_bytes()


def test_a_finished_set_is_returned_and_another_refused(plain):
    stamp = (plain.folder / "truth.csv").stat().st_mtime_ns
    again = make_phantoms(plain.folder, exams=4, rows=512, seed=5, traps=False, progress=False)
    assert again.truth == plain.truth and (plain.folder / "truth.csv").stat().st_mtime_ns == stamp
    with pytest.raises(BadConfig, match="another set"):
        make_phantoms(plain.folder, exams=5, rows=512, seed=5, traps=False, progress=False)


def test_every_image_is_there_once_and_both_views_of_both_breasts(plain):
    both = [("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")]
    assert Counter((r["laterality"], r["view"]) for r in plain.truth) == dict.fromkeys(both, 4)
    assert len({r["image_id"] for r in plain.truth}) == 16
    assert all(int(r["rows"]) == 512 and r["traps"] == r["allowed_errors"] == "" for r in plain.truth)
    listed = {r["file"] for r in plain.truth} | {r["mask"] for r in plain.lesions} | {"truth.csv", "lesions.csv", "phantom.json"}
    assert set(_files(plain.folder)) == listed


def test_both_views_of_a_breast_hold_the_same_lesions(trapped):
    shown = [r for r in trapped.truth if not r["parent_id"]]
    by_view = {(r["exam_id"], r["laterality"], r["view"]): r["lesion_ids"] for r in shown}
    assert any(by_view.values())
    for (exam, side, view), lesions in by_view.items():
        assert lesions == by_view[exam, side, "MLO" if view == "CC" else "CC"]
    by_image = Counter(r["image_id"] for r in trapped.lesions)
    for row in trapped.truth:
        assert by_image[row["image_id"]] == len([x for x in row["lesion_ids"].split("|") if x])


def test_masks_agree_with_the_table(trapped):
    images = {r["image_id"]: r for r in trapped.truth}
    for row in trapped.lesions:
        image = images[row["image_id"]]
        mask = cv2.imread(str(trapped.folder / row["mask"]), cv2.IMREAD_UNCHANGED)
        assert mask.dtype == np.uint8 and mask.shape == (int(image["rows"]), int(image["columns"]))
        assert set(np.unique(mask)) == {0, 255}
        ys, xs = np.nonzero(mask)
        assert len(ys) == int(row["area_px"])
        assert (xs.mean(), ys.mean()) == pytest.approx((float(row["centre_x"]), float(row["centre_y"])), abs=0.01)
        size = (max(np.ptp(xs), np.ptp(ys)) + 1) * float(image["true_spacing_mm"])
        assert size == pytest.approx(float(row["size_mm"]), abs=0.01)
        assert 3 < size < 60 and xs.min() > 0 and xs.max() < mask.shape[1] - 1
        assert float(row["contrast"]) > 0


def test_a_twin_repeats_its_image_before_display_processing(trapped):
    images = {r["image_id"]: r for r in trapped.truth}
    twins = [r for r in trapped.truth if r["intent"] == "FOR PROCESSING"]
    assert len(twins) == 1
    parent = images[twins[0]["parent_id"]]
    for column in ("patient_id", "exam_id", "laterality", "view", "rows", "columns", "true_spacing_mm", "lesion_ids", "traps"):
        assert twins[0][column] == parent[column]


def test_every_trap_is_planted_when_asked(trapped):
    planted = Counter(trap for r in trapped.truth for trap in r["traps"].split("|") if trap)
    assert set(planted) == set(TRAPS)
    assert planted["implant"] == planted["for_processing"] == 2 and planted["marker"] == 4
    assert sum(not r["traps"] for r in trapped.truth) > len(trapped.truth) / 2


def test_patients_mix_and_some_come_twice():
    exams = [plan_exam(3, n) for n in range(60)]
    people = {}
    for exam in exams:
        people.setdefault(exam.patient_id, []).append(exam)
    assert len(people) == 54 and sorted(len(v) for v in people.values()).count(2) == 6
    for twice in (v for v in people.values() if len(v) == 2):
        assert twice[0].birth == twice[1].birth and twice[0].date < twice[1].date and twice[1].second_exam
        assert twice[0].maker.name and [len(i.lesions) for i in twice[0].images] == [len(i.lesions) for i in twice[1].images]
    worst = Counter(max((lesion.pathology for i in e.images for lesion in i.lesions), default="normal") for e in exams)
    harmful = sum(any(lesion.pathology == "malignant" for i in e.images for lesion in i.lesions) for e in exams)
    assert 15 <= harmful <= 21 and worst["normal"] >= 15
    assert len({e.maker.name for e in exams}) >= 4 and len({e.density for e in exams}) == 4
    assert all(38 <= e.age_years <= 80 for e in exams)


def test_a_small_set_holds_every_pathology():
    for seed in range(5):
        shown = [{lesion.pathology for i in plan_exam(seed, n).images for lesion in i.lesions} for n in range(3)]
        assert set() in shown and {"benign"} in shown and any("malignant" in found for found in shown)


def test_difficulty_lowers_the_contrast():
    easy, hard = ([lesion.contrast for n in range(3) for i in plan_exam(3, n, difficulty=Difficulty(level=level)).images
                   for lesion in i.lesions] for level in (0.1, 0.9))  # fmt: skip
    assert len(easy) == len(hard) > 0 and all(a > 1.5 * b for a, b in zip(easy, hard, strict=True))


@pytest.mark.parametrize(
    "wrong", [{"rows": 511}, {"rows": 4097}, {"exams": 0}, {"traps": ["no such trap"]}]
)  # fmt: skip
def test_settings_out_of_range_are_refused(tmp_path, wrong):
    with pytest.raises(BadConfig):
        make_phantoms(tmp_path, **{"exams": 1, "rows": 512, "progress": False, **wrong})
    assert not list(tmp_path.iterdir())


def test_difficulty_out_of_range_is_refused():
    with pytest.raises(BadConfig, match="nearest allowed: 1"):
        Difficulty(level=1.5)


def test_an_unfinished_set_is_no_set(plain, tmp_path):
    (tmp_path / "phantom.json").write_text(json.dumps({}))
    with pytest.raises(BadFile, match="complete set"):
        read_phantoms(tmp_path)
