"""Slices: the figures of a part are those of its rows alone, what is planted is named, what is clean or too small raises nothing."""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from mammolibs.evaluate import Draws, LesionTruth, mean_statistic
from mammolibs.evaluate.analysis import Evidence
from mammolibs.evaluate.score_report import score_result
from mammolibs.evaluate.score_table import ScoreColumns, read_scores
from mammolibs.evaluate.slice_facts import IMAGE_FACTS, LESION_FACTS, of_malignant
from mammolibs.evaluate.slice_tests import Slice, holm, judge_slices, slices_by
from mammolibs.evaluate.slices import slices

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
ROUNDS = 150


@pytest.fixture(scope="module")
def planted():
    sys.path.insert(0, str(SCRIPTS))
    from benches import fault_slices as module

    yield module
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def rows(planted):
    return planted.make_predictions(120, 3)


def part_of(rows, chosen=None):
    draws = Draws([p.patient_id for p in rows], rounds=ROUNDS)
    return slices(Evidence(held_out=rows, validation=(), draws=draws, chosen=chosen or {}, split_hash="x"))


def test_a_slice_has_the_figures_of_its_own_rows(planted, rows):
    by = part_of(rows, planted.CHOSEN).result["by"]
    own = [p for p in rows if p.maker == "SIEMENS"]
    found = by["maker"]["SIEMENS"]
    assert found["auc"]["value"] == pytest.approx(roc_auc_score([p.label for p in own], [p.image_score for p in own]))
    assert (found["auc"]["n"], found["auc"]["events"], found["split_hash"]) == (len(own), sum(p.label for p in own), "x")
    assert found["sensitivity"]["value"] == pytest.approx(np.mean([p.image_score > 0.55 for p in own if p.label == 1]))
    assert found["specificity"]["value"] == pytest.approx(np.mean([p.image_score <= 0.55 for p in own if p.label == 0]))
    masses = [p for p in rows if p.label == 0 or p.lesions[0].kind == "mass"]
    found = by["lesion kind"]["mass"]
    assert found["auc"]["value"] == pytest.approx(roc_auc_score([p.label for p in masses], [p.image_score for p in masses]))
    assert "specificity" not in found and found["lesion_sensitivity_at_1_fp"]["n"] == sum(
        p.lesions[0].kind == "mass" for p in rows if p.lesions
    )
    assert list(by["age"]) == ["under 40", "40 to 49", "50 to 59", "60 to 69", "70 and over"]


def test_what_nobody_says_is_no_slice(rows):
    silent = [
        replace(p, maker="", technology="", view="unknown", age_years=None if p.laterality == "L" else 55, spacing_mm=None) for p in rows
    ]
    result = part_of(silent).result
    assert not {"maker", "technology", "view", "age", "lesion size"} & set(result["by"]) and "implant" in result["by"]
    assert result["not_said"]["maker"] == "nobody says it"
    assert result["not_said"]["age"] == f"50 to 59 for all images of which it is said; not said of {len(rows) // 2} of {len(rows)} images"


def test_bands_and_the_lesions_that_make_an_image_malignant(rows):
    row = next(p for p in rows if p.label == 1)
    assert [IMAGE_FACTS["age"](replace(row, age_years=years)) for years in (39, 40, 69, 70)] == [
        "under 40",
        "40 to 49",
        "60 to 69",
        "70 and over",
    ]
    lesions = tuple(
        LesionTruth(lesion_id=name, kind=kind, pathology=name, centre_x=1.0, centre_y=1.0, radius_px=radius)
        for name, kind, radius in (("malignant", "mass", 50.0), ("benign", "calcification", 50.5))
    )
    both = replace(row, lesions=lesions, regions=(), spacing_mm=0.1)
    assert [LESION_FACTS["lesion size"](both, one) for one in lesions] == ["up to 10 mm", "10 to 20 mm"]
    assert of_malignant(LESION_FACTS["lesion kind"], both) == {"mass"}
    assert of_malignant(LESION_FACTS["lesion kind"], replace(both, label=0)) == set()


def test_no_rows_are_no_part():
    assert part_of([]) is None


def test_holm_as_worked_by_hand():
    assert holm([0.01, 0.04, None, 0.03, 0.005]) == pytest.approx([0.03, 0.06, None, 0.06, 0.02])
    assert holm([]) == [] and holm([0.6, 0.9]) == [1.0, 1.0]


def test_the_p_value_is_that_of_two_proportions():
    patients = np.array([f"p{i:04d}" for i in range(1000)])
    right = np.concatenate([np.arange(500) < 250, np.arange(500) < 310]).astype(float)
    here = np.arange(1000) < 500
    inside, rest = ({"sensitivity": mean_statistic(right[held], patients[held], "image", method="share")} for held in (here, ~here))
    [verdict] = judge_slices([Slice(fact="maker", name="x", members=here, inside=inside, rest=rest)], Draws(patients)).verdicts
    error = np.sqrt(sum(1 / (500 * share * (1 - share)) for share in (0.5, 0.62)))
    assert norm.isf(verdict.tests["sensitivity"].p) == pytest.approx(np.log(0.62 / 0.38) / error, rel=0.1)


def test_a_bad_slice_is_named_once_and_clean_rows_raise_nothing(planted):
    assert planted.alarms(planted.make_predictions(200, 1), ROUNDS) == ()
    bad = [
        replace(p, technology="film" if p.maker == planted.BAD_MAKER else "digital")
        for p in planted.make_predictions(200, 1, bad_maker=planted.BAD_MAKER)
    ]
    [alarm] = planted.alarms(bad, ROUNDS)
    assert "AUC 0." in alarm and "swapped" not in alarm
    # Two names of the same images are one finding.
    assert planted.BAD_MAKER in alarm and "Nearly the same units" in alarm and "technology" in alarm and "film" in alarm


def test_swapped_labels_are_called_so_and_a_table_of_scores_gets_the_same_words(planted, tmp_path):
    site = planted.SWAPPED_SITE
    mixed = planted.make_predictions(150, 2, swapped_site=site)
    alarms = planted.alarms(mixed, ROUNDS)
    assert [alarm for alarm in alarms if f"labels of data set {site} look swapped" in alarm] == list(alarms[:1])
    with open(tmp_path / "t.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "who", "site", "y", "p"))
        writer.writerows((p.image_id, p.patient_id, p.source, p.label, repr(p.image_score)) for p in mixed)
    table = read_scores(tmp_path / "t.csv", ScoreColumns(score="p", truth="y", patient="who", image="image", source="site"))
    result = score_result(table, Draws(table.patients, rounds=ROUNDS), threshold=None, prevalence=None)
    assert [found["alarm"] for found in result["alarms"] if found["part"] == "sources"] == list(alarms[:1])


def test_chance_in_one_source_is_a_bad_slice_and_no_swap():
    rng = np.random.default_rng(4)
    labels, sources = rng.random(900) < 0.3, np.repeat(["a", "b", "c"], 300)
    scores = rng.normal(size=900) + np.where(sources == "b", 0.0, 2.0) * labels
    patients = np.array([f"p{i // 2}" for i in range(900)])
    found = judge_slices(slices_by("data set", sources, scores, labels.astype(int), patients, "image"), Draws(patients, rounds=ROUNDS))
    assert [(v.slice.name, list(v.low), v.swapped) for v in found.verdicts] == [("a", [], False), ("b", ["auc"], False), ("c", [], False)]
    mirrored = judge_slices(slices_by("data set", np.full(900, "a"), -scores, labels.astype(int), patients, "image"), found.draws)
    assert mirrored.verdicts[0].swapped and mirrored.tested == 0


@pytest.mark.parametrize(
    "poor",
    [
        lambda rows: rows[:12],
        lambda rows: [p for p in rows if p.label == 0],
        lambda rows: [replace(p, image_score=0.5, regions=()) for p in rows],
        lambda rows: [replace(p, label=-1, pathology="unknown", has_lesion=-1, lesions=(), regions=()) for p in rows],
    ],
    ids=["three patients", "one class", "equal scores", "unknown"],
)
def test_poor_rows_raise_nothing_and_say_why(planted, rows, poor):
    part = part_of(poor(rows[:160]), planted.CHOSEN)
    assert part.alarms == () and part.sections[0].items
    assert all(
        test["p"] is not None or test["reason"]
        for fact in part.result["by"].values()
        for found in fact.values()
        for test in found["tests"].values()
    )
