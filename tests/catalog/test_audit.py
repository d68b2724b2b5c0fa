"""Audits of splits by ids: each kind of leak planted and named, clean ones clean; verdicts that are kept and cannot be changed."""

import json
from dataclasses import replace

import pytest

from mammolibs.catalog import (
    Verdict,
    audit,
    audit_own,
    copy_split,
    make_catalog,
    read_split,
    read_verdict,
    split_hash,
    write_split,
    write_split_of_copies,
    write_verdict,
)  # fmt: skip
from mammolibs.catalog.verdict import PIXELS, POOL, Offender, in_words, short_verdict
from mammolibs.errors import BadData, BadFile
from mammolibs.storage.sealed import SEAL
from tests.catalog.conftest import make_mias, make_phantom
from tests.catalog.trees import row


def clean(**more):
    """Two patients per part, two images each, with exams and an official split that is kept."""
    return [
        replace(row(patient, image, split=split, official_split=split, **more), exam_id=f"test/{patient}/e")
        for patient, split in (("a", "train"), ("b", "train"), ("c", "validation"), ("d", "validation"), ("e", "test"), ("f", "test"))
        for image in "12"
    ]


def found(verdict):
    return {kind: [(o.name, o.splits) for o in offenders] for kind, offenders in verdict.leaks.items() if offenders}


def test_a_clean_split_is_clean_and_says_what_was_not_looked_for():
    verdict = audit(clean())
    assert verdict.clean and found(verdict) == {} and verdict.split_hash == split_hash(clean())
    assert dict(verdict.images) == {"test": 4, "train": 4, "validation": 4} and verdict.patients["test"] == 2
    assert dict(verdict.unchecked) == {"near-duplicate pixels": "no pixels were read"}
    assert set(verdict.leaks) == {"patient overlap", "exam overlap", "image overlap", "derived copies", "official split"}
    bare = audit([replace(r, exam_id=r.patient_id, official_split="") for r in clean()])
    assert set(bare.unchecked) == {"near-duplicate pixels", "exam overlap", "official split"} and "exam overlap" not in bare.leaks


PLANTED = {
    "patient overlap": (row("a", "3", split="test"), [("test/a", ("test", "train"))]),
    "exam overlap": (replace(row("alias", split="test"), exam_id="test/a/e"), [("test/a/e", ("test", "train"))]),
    "image overlap": (replace(row("g", split="test"), path="/nowhere/a-1.png"), [("test-a-1 and test-g-1", ("test", "train"))]),
    "derived copies": (row("g", split="test", parent_id="test-a-1"), [("test-a-1", ("test", "train"))]),
    "official split": (row("g", split="train", official_split="test"), [("test-g-1", ("train",))]),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_each_kind_is_found_and_named_and_nothing_else_is(kind):
    extra, offenders = PLANTED[kind]
    verdict = audit([*clean(), extra])
    assert found(verdict) == {kind: offenders} and not verdict.clean
    assert audit([*clean(), extra], ignore={kind: "wanted so"}).unchecked[kind] == "wanted so"
    assert audit([*clean(), extra], ignore={kind: "wanted so"}).clean


def test_two_ids_for_frames_of_one_file_are_two_images():
    assert audit([*clean(), replace(row("g", split="test"), path="/nowhere/a-1.png", frame=3)]).clean


def test_copies_of_copies_and_copies_of_a_missing_image_are_one_family():
    rows = [*clean(), row("a", "c", split="train", parent_id="test-a-1"), row("g", split="test", parent_id="test-a-c")]
    assert found(audit(rows)) == {"derived copies": [("test-a-1", ("test", "train"))]}
    orphans = [row("g", split="train", parent_id="lost"), row("h", split="test", parent_id="lost")]
    assert found(audit([*clean(), *orphans])) == {"derived copies": [("lost", ("test", "train"))]}
    ring = [row("g", split="train", parent_id="test-h-1"), row("h", split="test", parent_id="test-g-1")]
    assert found(audit([*clean(), *ring])) == {"derived copies": [("test-g-1", ("test", "train"))]}


@pytest.mark.parametrize(
    "here,official,wrong", [("validation", "test", 1), ("train", "val", 1), ("test", "train", 0), ("train", "training", 0)]
)
def test_what_the_official_split_holds_out_further_is_counted(here, official, wrong):
    verdict = audit([*clean(), row("g", split=here, official_split=official)])
    assert len(verdict.leaks["official split"]) == wrong


def test_folds_are_apart_from_each_other_and_have_no_official_split():
    rows = [row(f"p{n}", split=str(n % 5), official_split="train") for n in range(20)]
    assert audit(rows).clean and "neither" in audit(rows).unchecked["official split"]
    assert found(audit([*rows, row("p1", "2", split="3")])) == {"patient overlap": [("test/p1", ("1", "3"))]}


def test_a_pool_may_share_with_training_and_not_with_the_test_set():
    pool = [row("a"), row("z")]
    assert audit(clean(), pool=pool).clean
    verdict = audit(clean(), pool=[*pool, row("e", "9"), row("y", parent_id="test-f-1")])
    assert found(verdict) == {"patient overlap": [("test/e", (POOL, "test"))], "derived copies": [("test-f-1", (POOL, "test"))]}
    assert verdict.touched("test") == ("patient overlap", "derived copies") and verdict.touched("train") == ()
    folds = [replace(r, split=str(n % 2)) for n, r in enumerate(clean()[::2])]
    assert [o.splits for o in audit(folds, pool=[row("a")]).leaks["patient overlap"]] == [("0", POOL)]


@pytest.mark.parametrize("name", ["test2", "external", "Test_B", "eval"])
def test_a_pool_is_compared_with_every_part_that_is_not_known_to_be_trained_on_or_chosen_by(name):
    rows = [*clean(), row("g", split=name), row("h", split="Tune")]
    verdict = audit(rows, pool=[row(patient, "9") for patient in "aceghz"])
    assert found(verdict) == {"patient overlap": [("test/e", (POOL, "test")), ("test/g", tuple(sorted((POOL, name))))]}


def test_splits_that_cannot_be_judged_are_refused():
    with pytest.raises(BadData, match="1 of 13 images have no split, first test-g-1"):
        audit([*clean(), row("g")])
    with pytest.raises(BadData, match="in one split, 'train'"):
        audit([row("a", split="train")])
    with pytest.raises(BadData, match="no image"):
        audit([])
    assert audit([row("a", split="test")], pool=[row("b")]).clean


def test_a_line_per_kind_has_the_count_and_the_offenders_follow():
    lines = audit([*clean(), row("a", "3", split="test"), row("b", "3", split="test")]).lines()
    place = lines.index("patient overlap: 2 patients")
    assert lines[place + 1 : place + 3] == ["   test/a: test, train", "   test/b: test, train"]
    assert "exam overlap: none" in lines and lines[-1].endswith("this split leaks")
    many = audit([row(f"p{n}", i, split=s) for n in range(70) for i, s in (("1", "train"), ("2", "test"))]).lines()
    assert "patient overlap: 70 patients" in many and "   and 20 more" in many


def test_a_verdict_is_kept_with_its_split_and_a_changed_one_is_refused(tmp_path):
    path = tmp_path / "split.json"
    rows = [*clean(), row("a", "3", split="test")]
    verdict = audit(rows)
    write_split(path, rows, seed=0)
    assert read_verdict(path) is None
    write_verdict(path, verdict)
    assert read_verdict(path) == verdict and Verdict.from_dict(verdict.to_dict()).hash() == verdict.hash()
    values = json.loads(path.read_text())
    assert values["verdict"]["clean"] is False and values["patients"]["test/b"] == "train"
    values["verdict"]["leaks"]["patient overlap"] = []
    path.write_text(json.dumps(values))
    with pytest.raises(BadFile, match="does not match its checksum"):
        read_verdict(path)
    path.write_text(json.dumps({name: value for name, value in values.items() if name != SEAL}))
    with pytest.raises(BadFile, match="was changed after it was made"):
        read_verdict(path)
    with pytest.raises(BadFile, match="is of split"):
        write_verdict(path, audit(clean()))
    path.write_text("{}")
    with pytest.raises(BadFile, match="is no split"):
        read_verdict(path)


def test_a_new_catalog_comes_with_its_verdict(tmp_path):
    make_mias(tmp_path / "mias")
    make_phantom(tmp_path / "phantom")
    made = make_catalog([("mias", tmp_path / "mias"), ("phantom", tmp_path / "phantom")], tmp_path / "data")
    verdict = read_verdict(tmp_path / "data" / "split.json")
    assert verdict.clean and verdict.split_hash == split_hash(made.rows)
    assert verdict.short()["looked_at"] == ["ids"] and verdict.unchecked["official split"] == "no official split is known"


def test_of_a_split_made_anew_the_official_one_is_counted_and_no_offence():
    rows = [*clean(), row("g", split="train", official_split="test"), row("h", split="validation", official_split="test")]
    verdict = audit(rows, own_split=True)
    assert verdict.clean and "official split" not in verdict.leaks
    assert "2 images that the official one holds out further" in verdict.unchecked["official split"]
    assert audit_own(clean()).unchecked["official split"] == "this split is made anew by patient"
    assert not audit(rows).clean and audit_own([row("a", split="train")]) is None


def test_in_short_a_verdict_has_numbers_and_names_nobody(tmp_path):
    rows = [*clean(), row("a", "3", split="test"), row("b", "3", split="test"), row("c", "3", split="train")]
    verdict = audit(rows)
    short = verdict.short()
    assert (short["verdict"], short["leaks"], short["looked_at"]) == ("leaks", {"patient overlap": "3 patients"}, ["ids"])
    assert short["split_hash"] == split_hash(rows) and "test/a" not in json.dumps(short)
    assert verdict.offences("test") == {"patient overlap": "2 patients"}
    assert verdict.offences("validation") == {"patient overlap": "1 patient"}
    assert in_words(short) == "3 patients (patient overlap), by ids"
    assert in_words(short_verdict(None, "x")) == "not audited" and short_verdict(None, "x")["split_hash"] == "x"
    assert in_words(audit(clean()).short()) == "clean, by ids"


def test_what_was_ignored_travels_with_the_verdict():
    rows = [*clean(), row("a", "3", split="test")]
    short = audit(rows, ignore={"patient overlap": "wanted so", "exam overlap": "told to ignore it"}).short()
    assert short["ignored"] == ["patient overlap", "exam overlap"]
    assert in_words(short) == "clean, by ids, patient overlap and exam overlap ignored"
    # What the rows cannot tell, and what is no yardstick, nobody has chosen to ignore.
    assert "ignored" not in audit_own([replace(r, exam_id="") for r in clean()]).short()


def test_a_verdict_outlives_a_catalog_built_again_of_the_same_data(tmp_path):
    path, rows = tmp_path / "split.json", clean()
    write_split(path, rows, seed=0, verdict=audit_own(rows))
    looked = replace(audit_own(rows), leaks={PIXELS: (Offender("a and b", ("test", "train")),)})
    write_verdict(path, looked)
    write_split(path, rows, seed=0, verdict=audit_own(rows))
    assert read_verdict(path) == looked
    there = tmp_path / "there" / "split.json"
    # Another split, and the same split of other data, are judged anew.
    for others in (rows[:-1], [*rows[:-1], replace(rows[-1], pathology="malignant")]):
        copy_split(path, there)
        assert read_verdict(there) == looked
        write_split(there, others, seed=0, verdict=audit_own(others))
        assert read_verdict(there) == audit_own(others)


def test_copies_do_not_wash_off_what_is_known_of_their_parents(tmp_path):
    parents, path, rows = tmp_path / "split.json", tmp_path / "copies.json", clean()
    pair, pooled = Offender("test-a-1 and test-e-1", ("test", "train")), Offender("test/f", (POOL, "test"))
    copies = [*rows, row("a", "c", split="train", parent_id="test-a-1")]
    write_split(parents, rows, seed=0, verdict=audit_own(rows))
    write_split_of_copies(path, copies, parents, rows)
    assert read_verdict(path) == audit_own(copies)
    known = audit(rows, pool=[row("f")], own_split=True)
    assert known.leaks["patient overlap"] == (pooled,)
    write_verdict(parents, replace(known, leaks={**known.leaks, PIXELS: (pair,)}, unchecked={PIXELS: "1 of 13 images cannot be looked at"}))
    # Also over a verdict on the copies that is there from before.
    for _ in range(2):
        write_split_of_copies(path, copies, parents, rows)
        verdict = read_verdict(path)
        assert verdict.leaks[PIXELS] == (pair,) and verdict.leaks["patient overlap"] == (pooled,) and verdict.images[POOL] == 1
        assert verdict.split_hash == split_hash(copies) and verdict.images["train"] == 5
        assert verdict.unchecked[PIXELS] == "copies were not looked at; 1 of 13 images cannot be looked at"
    # A verdict on another split says nothing of these parents.
    write_split_of_copies(tmp_path / "others.json", copies, parents, rows[:-1])
    assert read_verdict(tmp_path / "others.json") == audit_own(copies)


def test_a_split_that_no_seed_drew_is_kept_by_any_seed(tmp_path):
    write_split(tmp_path / "split.json", clean(), seed=None, fractions=())
    assert read_split(tmp_path / "split.json", seed=5)["test/e"] == "test"
