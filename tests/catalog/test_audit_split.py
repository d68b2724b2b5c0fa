"""The script: catalogs, official splits and anybody's CSV; exit codes, what is printed and kept; bad input in one line."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mammolibs.catalog import SOURCES, audit, make_catalog, read_catalog, read_verdict, write_catalog, write_split
from mammolibs.catalog.audit_inputs import source_rows
from mammolibs.catalog.files import write_verdict
from mammolibs.catalog.verdict import PIXELS, Offender
from mammolibs.errors import BadConfig, BadData, BadFile, MammolibsError
from mammolibs.pipeline.cli import parse_options
from tests.catalog import trees_digital, trees_volumes
from tests.catalog.conftest import MAKERS, make_cbis, make_mias
from tests.catalog.trees import REAL, cbis_record, row, write_cbis_tables

SCRIPT = Path(__file__).parents[2] / "dataset_enhancement" / "audit_split.py"
TABLES = REAL / "cbis-ddsm"
VINDR = REAL / "vindr-mammo" / "finding_annotations_excerpt.csv"


@pytest.fixture
def audit_split(tmp_path, capsys, monkeypatch):
    """A function of the flags that gives the exit code and the printed lines."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(SCRIPT.parent)
    from audit_split import Options, run_audit

    def call(*flags):
        code = run_audit(parse_options(Options, [str(flag) for flag in flags]))
        return code, capsys.readouterr().out.splitlines()

    return call


def write_csv(path, rows, columns=("image", "person", "part")):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def flags(path, **more):
    given = {"id-column": "image", "split-column": "part", "group-column": "person"} | {k.replace("_", "-"): v for k, v in more.items()}
    return ["--csv", path, *(part for name, value in given.items() if value for part in (f"--{name}", value))]


TABLE = [("a1", "A", "Train"), ("a2", "A", "train"), ("b1", "B", "train"), ("c1", "C", "val"), ("d1", "D", "test")]


def test_a_clean_table_exits_0_and_a_patient_in_three_parts_1(audit_split, tmp_path):
    code, lines = audit_split(*flags(write_csv(tmp_path / "t.csv", TABLE)))
    assert code == 0 and "patient overlap: none" in lines
    table = write_csv(tmp_path / "t.csv", [*TABLE, ("a3", "A", "test"), ("a4", "A", "val")])
    code, lines = audit_split(*flags(table, json=tmp_path / "v.json"))
    assert code == 1 and lines[lines.index("patient overlap: 1 patient") + 1] == "   A: test, train, val"
    assert json.loads((tmp_path / "v.json").read_text())["leaks"]["patient overlap"][0]["name"] == "A"


def test_tables_that_would_be_read_shifted_or_by_one_of_two_columns_are_refused(audit_split, tmp_path):
    for columns, record, message in (
        (("image", "person", "part"), ("1", "i1", "P1", "train"), "row 2 has more cells"),
        (("image", "person", "part", "part"), ("i1", "P1", "train", "test"), "the column part 2 times"),
    ):
        with pytest.raises(BadFile, match=message):
            audit_split(*flags(write_csv(tmp_path / "t.csv", [record], columns)))


def test_a_column_without_a_name_is_nobodys_parent(audit_split, tmp_path):
    rows = [("0", "a", "A", "train"), ("0", "b", "B", "test")]
    code, lines = audit_split(*flags(write_csv(tmp_path / "t.csv", rows, ("", "image", "person", "part"))))
    assert code == 0 and "not checked: exam overlap: no exams are known, patients only" in lines


def test_images_whose_parent_is_nan_are_no_family(audit_split, tmp_path):
    rows = [("a", "A", "train", "nan", "None"), ("b", "B", "test", "NaN", "none")]
    path = write_csv(tmp_path / "t.csv", rows, ("image", "person", "part", "parent", "exam"))
    code, lines = audit_split(*flags(path, parent_column="parent", exam_column="exam"))
    assert code == 0, lines


def test_patients_are_found_in_ids_by_a_pattern(audit_split, tmp_path):
    rows = [("P01_L", "", "0"), ("P01_R", "", "1"), ("P02_L", "", "2"), ("P03_L", "", "3")]
    for pattern in ("^(P[0-9]+)_", "^P[0-9]+"):
        code, lines = audit_split(*flags(write_csv(tmp_path / "t.csv", rows), group_column="", patient_regex=pattern))
        assert code == 1 and "   P01: 0, 1" in lines


def test_exams_parents_and_the_official_split_come_from_columns(audit_split, tmp_path):
    columns = ("image", "person", "part", "exam", "parent", "official")
    rows = [
        *(("a", "A", "train", "e1", "", "train"), ("b", "B", "test", "e1", "", "test")),
        *(("c", "C", "test", "e3", "a", "test"), ("d", "D", "train", "e4", "", "Test")),
    ]
    path = write_csv(tmp_path / "t.csv", rows, columns)
    code, lines = audit_split(*flags(path, exam_column="exam", parent_column="parent", official_column="official"))
    assert code == 1
    place = lines.index("exam overlap: 1 exam")
    assert lines[place + 1] == "   e1: test, train"
    assert "   a: test, train (a in train; c in test)" in lines and "   d: train (official test)" in lines
    assert "derived copies: 1 parent" in lines and "official split: 1 image" in lines


BAD = {
    "missing column": (TABLE, {"split_column": "prt"}, BadConfig, "--split-column prt: .*did you mean part; it has image, person, part"),
    "one split": ([r[:2] + ("train",) for r in TABLE], {}, BadData, "in one split, 'train'"),
    "empty split": ([*TABLE, ("e1", "E", "")], {}, BadData, "column part is empty in 1 of 6 rows, first row 7"),
    "empty patient": ([*TABLE, ("e1", "", "test")], {}, BadData, "column person is empty"),
    "empty id": ([*TABLE, ("", "E", "test")], {}, BadData, "column image is empty"),
    "ids that repeat": ([*TABLE, ("a1", "E", "test")], {}, BadData, r"1 ids of column image repeat, first a1 \(2 times, rows 2, 7\)"),
    "pattern that fits nothing": (TABLE, {"group_column": "", "patient_regex": "X+"}, BadData, "finds no patient in 5 of 5 ids, first a1"),
    "pattern that is empty-handed": (TABLE, {"group_column": "", "patient_regex": "(X*)"}, BadData, "finds no patient in 5 of 5"),
    "pattern that is none": (TABLE, {"group_column": "", "patient_regex": "(a"}, BadConfig, "is no pattern"),
    "no patients": (TABLE, {"group_column": ""}, BadConfig, "say who the patients are"),
    "patients twice": (TABLE, {"patient_regex": "a"}, BadConfig, "say who the patients are"),
    "no id column": (TABLE, {"id_column": ""}, BadConfig, "give --id-column"),
    "no row": ([], {}, BadData, "no row below its header"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_are_one_line(audit_split, tmp_path, name):
    rows, more, error, message = BAD[name]
    with pytest.raises(error, match=message) as raised:
        audit_split(*flags(write_csv(tmp_path / "t.csv", rows), **more))
    assert "\n" not in str(raised.value) and raised.value.exit_code == 2


@pytest.mark.parametrize(
    "given,message",
    [
        ([], "give one of --catalog, --source, --csv"),
        (["--csv", "a.csv", "--catalog", "b", "--id-column", "i", "--split-column", "s"], "--catalog and --csv: give one"),
        (["--catalog", "b", "--id-column", "i"], "give --csv FILE"),
        (["--source", "cbis=x"], "did you mean cbis_ddsm"),
        (["--ignore", "oficial", "--catalog", "b"], "did you mean 'official split'"),
        (["--csv", "none.csv", "--id-column", "i", "--split-column", "s", "--group-column", "g"], "none.csv: is not there; check the path"),
        (["--catalog", "nowhere"], "nowhere: is not there|nowhere"),
    ],
)
def test_bad_flags_are_one_line(audit_split, given, message):
    with pytest.raises(MammolibsError, match=message) as raised:
        audit_split(*given)
    assert "\n" not in str(raised.value)


def test_a_catalog_is_judged_and_keeps_its_verdict(audit_split, tmp_path):
    make_mias(tmp_path / "mias")
    data = tmp_path / "data"
    make_catalog([("mias", tmp_path / "mias")], data)
    code, lines = audit_split("--catalog", data, "--workers", "0")
    assert code == 0 and lines[-1] == f"kept in {data / 'split.json'}"
    verdict = read_verdict(data / "split.json")
    # Black films show nothing to compare, and that is said.
    assert "3 of 3" in verdict.unchecked["near-duplicate pixels"] or "none of 3" in verdict.unchecked["near-duplicate pixels"]
    verdict = replace(verdict, leaks={**verdict.leaks, PIXELS: ()})
    write_verdict(data / "split.json", verdict)
    code, lines = audit_split("--catalog", data, "--no-pixels")
    assert (
        code == 0 and lines[-1].endswith("with what an earlier audit found in the pixels") and read_verdict(data / "split.json") == verdict
    )
    rows = read_catalog(data / "catalog.parquet")
    moved = [*rows, replace(rows[0], image_id="mias-more", path="/nowhere/more.pgm", split="test" if rows[0].split != "test" else "train")]
    write_catalog(tmp_path / "other.parquet", moved)
    code, lines = audit_split("--catalog", tmp_path / "other.parquet", "--no-pixels")
    assert code == 1 and "patient overlap: 1 patient" in lines and not any(line.startswith("kept") for line in lines)
    write_catalog(data / "catalog.parquet", moved)
    code, lines = audit_split("--catalog", data, "--no-pixels")
    assert code == 1 and lines[-1].startswith("not kept: ") and read_verdict(data / "split.json") == verdict


def test_a_pool_is_a_catalog_a_source_or_a_table(audit_split, tmp_path):
    make_mias(tmp_path / "mias")
    tested = [row("001", source="mias", split="test"), row("030", source="mias", split="train")]
    write_catalog(tmp_path / "mine.parquet", tested)
    write_catalog(tmp_path / "pool.parquet", [row("001", "9", source="mias", split="train")])
    write_catalog(tmp_path / "held.parquet", [row("001", "9", source="mias", split="test"), row("5", split="train")])
    write_catalog(tmp_path / "chosen.parquet", [row("001", "9", source="mias", split="validation"), row("5", split="train")])
    catalogs = [(tmp_path / f"{name}.parquet", expected) for name, expected in (("pool", 1), ("chosen", 1), ("held", 0))]
    for pool, expected in (*catalogs, (f"mias={tmp_path / 'mias'}", 1)):
        code, lines = audit_split("--catalog", tmp_path / "mine.parquet", "--pool", pool, "--no-pixels")
        assert code == expected, pool
        assert any("mias/001: pretraining pool, test" in line for line in lines) == bool(expected)
    table = write_csv(tmp_path / "t.csv", TABLE)
    code, lines = audit_split(*flags(table), "--pool", write_csv(tmp_path / "p.csv", [("x", "D", ""), ("y", "A", "")]))
    assert code == 1 and "   D: pretraining pool, test" in lines and not any("   A" in line for line in lines)
    with pytest.raises(BadConfig, match="compared with a CSV"):
        audit_split("--catalog", tmp_path / "mine.parquet", "--pool", tmp_path / "p.csv")


def test_an_audit_by_ids_is_kept_with_what_is_known_of_the_pixels(audit_split, tmp_path):
    rows = [row("a", split="train"), row("b", split="test"), row("c", split="test")]
    write_catalog(tmp_path / "catalog.parquet", rows)
    write_catalog(tmp_path / "pool.parquet", [row("b", "9"), row("c", "9")])
    looked = audit(rows, own_split=True)
    looked = replace(looked, leaks={**looked.leaks, PIXELS: (Offender("test-a-1 and test-b-1", ("train", "test")),)}, unchecked={})
    write_split(tmp_path / "split.json", rows, seed=0, verdict=looked)
    for _ in range(2):
        code, lines = audit_split("--catalog", tmp_path, "--pool", tmp_path / "pool.parquet", "--no-pixels")
        kept = read_verdict(tmp_path / "split.json")
        assert code == 1 and lines[-1].startswith("kept in ") and kept.leaks[PIXELS] == looked.leaks[PIXELS]
        assert kept.offences("test") == {"patient overlap": "2 patients", PIXELS: "1 pair"}
        assert kept.unchecked[PIXELS] == "the pretraining pool was not looked at"
    # Without the pool ids say less.
    code, lines = audit_split("--catalog", tmp_path, "--no-pixels")
    assert code == 0 and lines[-1].startswith("not kept: ") and read_verdict(tmp_path / "split.json") == kept


def test_the_official_split_of_a_source_needs_its_tables_alone(audit_split, tmp_path):
    make_cbis(tmp_path / "whole")
    with pytest.raises(BadData, match="in one split, 'train'"):
        audit_split("--source", f"cbis_ddsm={tmp_path / 'whole'}")
    records = [cbis_record("P_1", "LEFT", "CC"), cbis_record("P_2", "LEFT", "CC")]
    write_cbis_tables(tmp_path / "tables", mass_train=records, calc_test=[cbis_record("P_1", "RIGHT", "CC"), records[1]])
    code, lines = audit_split("--source", f"cbis_ddsm={tmp_path / 'tables'}", "--split", "official")
    assert code == 1 and "patient overlap: 2 patients" in lines
    assert lines[lines.index("image overlap: 1 image") + 1] == "   cbis_ddsm-P_2_LEFT_CC: test, train"
    assert any("no image file is known" in line for line in lines)
    make_mias(tmp_path / "mias")
    with pytest.raises(BadData, match="has an official split"):
        audit_split("--source", f"mias={tmp_path / 'mias'}")
    with pytest.raises(BadConfig, match="official split alone"):
        audit_split("--source", f"mias={tmp_path / 'mias'}", "--split", "own")


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if source.listed])
def test_rows_of_a_listing_are_those_of_the_images(tmp_path, name):
    MAKERS[name](tmp_path)
    listed, read = SOURCES[name].listed(tmp_path), SOURCES[name](tmp_path).rows
    # A volume is listed once and read as slices, whose names go on from its own.
    names = {row.image_id for row in listed}
    read = [r if r.image_id in names else replace(r, image_id=r.image_id.rpartition("-")[0]) for r in read]
    facts = [sorted({(r.image_id, r.patient_id, r.exam_id, r.official_split) for r in rows}) for rows in (listed, read)]
    assert facts[0] == facts[1] and len(facts[0]) >= 2 and all(not row.path for row in listed)
    rows = source_rows(name, tmp_path, unpack_folder=tmp_path / "unpacked")
    assert {row.path for row in rows} == {row.path for row in SOURCES[name](tmp_path).rows}


def test_the_official_split_of_tables_alone_finds_a_study_and_a_patient_in_two_parts(audit_split, tmp_path):
    trees_digital.write_vindr(tmp_path / "vindr", [
        trees_digital.vindr_record("s1", "i1", "L", "CC", "1"), trees_digital.vindr_record("s1", "i2", "L", "MLO", "1", split="test"),
        trees_digital.vindr_record("s2", "i3", "R", "CC", "1"), trees_digital.vindr_record("s3", "i4", "R", "CC", "1", split="test"),
    ])  # fmt: skip
    trees_volumes.write_dbt(tmp_path / "dbt", [
        trees_volumes.dbt_view("DBT-P1", "DBT-S1", "lcc"), trees_volumes.dbt_view("DBT-P1", "DBT-S2", "lcc", split="validation"),
        trees_volumes.dbt_view("DBT-P2", "DBT-S3", "rcc", split="test"),
    ])  # fmt: skip
    for images in (tmp_path / "vindr" / "images", tmp_path / "dbt" / "manifest-1617905855234"):
        shutil.rmtree(images)
    for name, folder, offender in (("vindr", "vindr", "vindr/s1: test, train"), ("bcs_dbt", "dbt", "bcs_dbt/DBT-P1: train, validation")):
        code, lines = audit_split("--source", f"{name}={tmp_path / folder}", "--split", "official", "--no-pixels")
        assert code == 1 and f"   {offender}" in lines and "patient overlap: 1 patient" in lines and "image overlap: none" in lines


@pytest.mark.skipif(not VINDR.exists(), reason=f"{VINDR} is not there")
def test_the_real_table_of_vindr_holds_no_study_in_two_parts(audit_split, tmp_path):
    (tmp_path / "tables").mkdir()
    shutil.copy(VINDR, tmp_path / "tables" / "finding_annotations.csv")
    code, lines = audit_split("--source", f"vindr={tmp_path / 'tables'}")
    assert code == 0 and "patient overlap: none" in lines and lines[0].count("image") == 2


def test_a_catalog_that_came_without_its_split_json_gets_one_with_the_verdict(audit_split, tmp_path):
    write_catalog(tmp_path / "catalog.parquet", [row("a", split="train"), row("b", split="test"), row("c", split="validation")])
    code, lines = audit_split("--catalog", tmp_path, "--no-pixels")
    assert code == 0 and lines[-1] == f"kept in {tmp_path / 'split.json'}" and read_verdict(tmp_path / "split.json").clean


def test_a_catalogs_official_split_can_be_judged_and_its_own_against_it(audit_split, tmp_path):
    rows = [row("a", split="train", official_split="test"), row("b", split="test", official_split="train")]
    write_catalog(tmp_path / "c.parquet", rows)
    code, lines = audit_split("--catalog", tmp_path / "c.parquet", "--no-pixels")
    [told] = [line for line in lines if line.startswith("not checked: official split")]
    assert code == 0 and "made anew by patient (no offence: 1 image that the official one holds out further" in told
    assert audit_split("--catalog", tmp_path / "c.parquet", "--no-pixels", "--split", "official")[0] == 0
    write_catalog(tmp_path / "c.parquet", [*rows, row("c", split="train", official_split="mixed")])
    with pytest.raises(BadData, match="test-c-1 has two official splits"):
        audit_split("--catalog", tmp_path / "c.parquet", "--no-pixels", "--split", "official")
    with pytest.raises(BadFile, match="is no catalog"):
        audit_split("--catalog", write_csv(tmp_path / "t.csv", TABLE))


@pytest.mark.skipif(not TABLES.exists(), reason=f"{TABLES} is not there")
def test_the_real_tables_hold_31_patients_on_both_sides(tmp_path):
    command = [sys.executable, str(SCRIPT), "--source", f"cbis_ddsm={TABLES}", "--split", "official", "--json", str(tmp_path / "v.json")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 1, done.stderr
    assert "patient overlap: 31 patients" in done.stdout.splitlines()
    named = {offender["name"] for offender in json.loads((tmp_path / "v.json").read_text())["leaks"]["patient overlap"]}
    assert {f"cbis_ddsm/P_{n}" for n in ("00016", "00041", "00159", "00394")} <= named and len(named) == 31
