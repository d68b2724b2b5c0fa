"""The split: by patient, balanced, blind to the order of rows, and stable when data are added."""

import random
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from mammolibs.catalog import fold_rows, split_hash, split_rows
from mammolibs.errors import BadConfig, BadData
from mammolibs.records import SPLITS
from tests.catalog.trees import row


def people(count, *, source="test", start=0, cancers=0.3):
    """Rows of `count` patients with 1 to 4 images; a cancer patient's other images are normal."""
    draw = random.Random(f"{source} {start}")
    rows = []
    for number in range(start, start + count):
        worst = "malignant" if draw.random() < cancers else draw.choice(("benign", "normal"))
        for image in range(draw.randint(1, 4)):
            rows.append(row(f"p{number}", str(image), source=source, pathology=worst if image == 0 else "normal"))
    return rows


def by_patient(rows):
    found = defaultdict(set)
    for r in rows:
        found[r.patient_id].add(r.split)
    assert all(len(splits) == 1 for splits in found.values()), "a patient is in two splits"
    return {patient: splits.pop() for patient, splits in found.items()}


def strata(rows):
    worst = {}
    for r in sorted(rows, key=lambda r: ("malignant", "benign", "normal").index(r.pathology), reverse=True):
        worst[r.patient_id] = (r.source, r.pathology)
    return worst


@pytest.mark.parametrize("seed", range(5))
def test_every_stratum_has_its_shares(seed):
    rows = people(61, source="a") + people(40, source="b")
    chosen, stratum = by_patient(split_rows(rows, seed=seed)), strata(rows)
    for name in set(stratum.values()):
        members = [p for p in chosen if stratum[p] == name]
        counts = Counter(chosen[p] for p in members)
        for split, share in zip(SPLITS, (0.6, 0.15, 0.25), strict=True):
            assert abs(counts[split] - share * len(members)) < 2
    total = Counter(chosen.values())
    assert [abs(total[s] - f * 101) < 2 for s, f in zip(SPLITS, (0.6, 0.15, 0.25), strict=True)] == [True] * 3


@pytest.mark.parametrize("seed", range(10))
def test_strata_of_one_patient_balance_each_other(seed):
    rows = [row("p", source=f"s{i}", pathology="malignant") for i in range(40)]
    counts = Counter(by_patient(split_rows(rows, seed=seed)).values())
    assert abs(counts["train"] - 24) <= 1 and abs(counts["validation"] - 6) <= 1 and abs(counts["test"] - 10) <= 1


def test_order_of_rows_plays_no_part():
    rows = people(50)
    mixed = random.Random(1).sample(rows, len(rows))
    assert by_patient(split_rows(rows, seed=3)) == by_patient(split_rows(mixed, seed=3))
    assert split_hash(split_rows(rows, seed=3)) == split_hash(split_rows(mixed, seed=3))
    assert [r.image_id for r in split_rows(mixed, seed=3)] == [r.image_id for r in mixed]


def test_seeds_differ():
    rows = people(50)
    assert by_patient(split_rows(rows, seed=0)) != by_patient(split_rows(rows, seed=1))


def test_patients_of_an_earlier_split_stay_and_new_ones_fill_the_quotas():
    rows, known = [], {}
    for start in range(0, 100, 10):
        rows += people(10, start=start)
        chosen = by_patient(split_rows(rows, seed=0, previous=known))
        assert known.items() <= chosen.items()
        known = chosen
    counts = Counter(known.values())
    assert abs(counts["train"] - 60) <= 3 and abs(counts["validation"] - 15) <= 3 and abs(counts["test"] - 25) <= 3


def test_without_an_earlier_split_an_addition_moves_few():
    rows = people(200)
    before = by_patient(split_rows(rows, seed=0))
    after = by_patient(split_rows(rows + people(1, start=500), seed=0))
    assert sum(before[p] != after[p] for p in before) <= 4


def test_a_patient_stays_where_he_is_when_his_label_changes():
    rows = [row(f"p{i}", pathology="normal") for i in range(20)]
    before = by_patient(split_rows(rows, seed=0))
    more = [*rows, row("p3", "2", pathology="malignant")]
    assert by_patient(split_rows(more, seed=0, previous=before)) == before


def test_an_unbalanced_earlier_split_does_not_spill_into_other_sources():
    old = {f"old/p{i}": "train" for i in range(50)}
    rows = [row(f"p{i}", source="old") for i in range(50)] + [row("p", source=f"new{i}") for i in range(40)]
    chosen = by_patient(split_rows(rows, seed=0, previous=old))
    counts = Counter(split for patient, split in chosen.items() if patient.startswith("new"))
    assert abs(counts["train"] - 24) <= 2 and abs(counts["validation"] - 6) <= 2 and abs(counts["test"] - 10) <= 2


def test_copies_follow_their_parent():
    rows = people(20)
    copies = [row(r.patient_id.removeprefix("test/"), "copy", parent_id=r.image_id) for r in rows if r.image_id.endswith("-0")]
    chosen = {r.image_id: r.split for r in split_rows(rows + copies, seed=0)}
    assert all(chosen[c.image_id] == chosen[c.parent_id] for c in copies)
    with pytest.raises(BadData, match="is not in the catalog"):
        split_rows([row("p1", parent_id="test-p9-1")], seed=0)
    with pytest.raises(BadData, match="is of another patient"):
        split_rows([row("p1"), row("p2", parent_id="test-p1-1")], seed=0)


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_other_fractions_are_refused(fractions):
    with pytest.raises(BadConfig, match="add up to 1"):
        split_rows(people(3), seed=0, fractions=fractions)


def test_a_share_of_zero_stays_empty():
    chosen = by_patient(split_rows(people(31), seed=0, fractions=(0.75, 0.25, 0)))
    assert set(chosen.values()) == {"train", "validation"}


def test_an_unknown_earlier_split_is_refused():
    with pytest.raises(BadConfig, match="'dev'"):
        split_rows(people(3), seed=0, previous={"test/p1": "dev"})


@pytest.mark.parametrize("count,folds", [(50, 5), (53, 5), (7, 3), (4, 4)])
def test_folds_hold_every_patient_once_and_are_even(count, folds):
    rows = people(count)
    chosen = [by_patient(fold_rows(rows, folds=folds, fold=k, seed=0)) for k in range(folds)]
    tested = Counter(p for part in chosen for p, split in part.items() if split == "test")
    assert tested == dict.fromkeys(by_patient(rows), 1)
    sizes = [sum(split == "test" for split in part.values()) for part in chosen]
    assert max(sizes) - min(sizes) <= 2 and min(sizes) > 0


def test_folds_are_stratified_and_validation_moves():
    rows, stratum = people(100), strata(people(100))
    cancers = {p for p, (_, worst) in stratum.items() if worst == "malignant"}
    chosen = [by_patient(fold_rows(rows, folds=5, fold=k, seed=0)) for k in range(5)]
    held = [Counter(part[p] for p in cancers) for part in chosen]
    assert all(abs(c["test"] - len(cancers) / 5) < 1 and abs(c["validation"] - len(cancers) * 0.16) < 2 for c in held)
    validation = [{p for p, split in part.items() if split == "validation"} for part in chosen]
    assert all(a != b for a, b in pairwise(validation))


def test_folds_do_not_depend_on_the_order_of_rows():
    rows = people(30)
    assert by_patient(fold_rows(rows, folds=3, fold=1, seed=0)) == by_patient(fold_rows(rows[::-1], folds=3, fold=1, seed=0))


@pytest.mark.parametrize("folds,fold", [(1, 0), (5, 5), (5, -1)])
def test_folds_that_do_not_exist_are_refused(folds, fold):
    with pytest.raises(BadConfig, match="counted from 0"):
        fold_rows(people(10), folds=folds, fold=fold, seed=0)


def test_more_folds_than_patients_are_refused():
    with pytest.raises(BadData, match="5 folds of 3 patients"):
        fold_rows(people(3), folds=5, fold=0, seed=0)
