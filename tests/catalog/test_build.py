"""Several sources in one catalog: flags, files of a run, the tree that is printed."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mammolibs.catalog import build_catalog, format_tree, make_catalog, parse_option, parse_source, read_catalog, read_split
from mammolibs.errors import BadConfig, BadFile
from tests.catalog.conftest import make_cbis, make_dicom_folder, make_mias
from tests.catalog.trees import write_dicom, write_mias

SCRIPT = Path(__file__).parents[2] / "dataset_enhancement" / "build_catalog.py"


@pytest.fixture
def folders(tmp_path):
    make_mias(tmp_path / "mias")
    make_cbis(tmp_path / "cbis")
    make_dicom_folder(tmp_path / "plain")
    (tmp_path / "plain" / "broken.dcm").write_text("a text file")
    (tmp_path / "mias" / "Info.txt").open("a").write("mdb300 F NORM \n")
    return [("mias", tmp_path / "mias"), ("cbis_ddsm", tmp_path / "cbis"), ("dicom_folder", tmp_path / "plain")]


def test_the_tree_says_what_is_there_what_is_absent_and_what_was_skipped(folders, tmp_path):
    text = format_tree(build_catalog(folders, unpack_folder=tmp_path))
    for line in (
        "catalog: 9 images, 7 patients, 4 lesions",
        "mias: 3 images, 2 patients, 2 lesions; 1 more in its table and not on the disk",
        "pathology    benign 2, normal 1",
        "outlines     circle 1, none 1",
        "official     train 2",
        "skipped: 1",
        "dicom_folder: 1 x ",
        " (broken.dcm)",
    ):
        assert line in text, line
    images = [int(line.split()[1]) for line in text.splitlines() if line.split()[0] in ("train", "validation", "test")]
    assert len(images) == 3 and sum(images) == 9


def test_reasons_are_grouped_with_examples(tmp_path):
    for n in range(6):
        write_dicom(tmp_path / f"{n}.dcm", PatientID=f"P{n}")
    write_mias(tmp_path / "m", [f"mdb{n:03d} F NORM " for n in range(1, 12)], tuple(f"mdb{n:03d}" for n in range(1, 7)))
    write_mias(tmp_path / "m", [f"mdb{n:03d} F NORM " for n in range(1, 12)], tuple(f"mdb{n:03d}" for n in range(7, 12)), side=300)
    text = format_tree(build_catalog([("mias", tmp_path / "m")], unpack_folder=tmp_path))
    [line] = [line for line in text.splitlines() if " x is " in line]
    assert "mias: 5 x is" in line and line.endswith("(mdb007.pgm, mdb008.pgm, mdb009.pgm, ...)")


def test_a_run_folder_gets_its_three_files_and_keeps_its_split(folders, tmp_path):
    out = tmp_path / "run" / "data"
    first = make_catalog(folders[:1], out)
    assert read_catalog(out / "catalog.parquet") == first.rows
    more = make_catalog(folders, out)
    kept = {row.patient_id: row.split for row in first.rows}
    chosen = {row.patient_id: row.split for row in more.rows}
    assert kept.items() <= chosen.items()
    written = json.loads((out / "split.json").read_text())
    assert written["patients"] == chosen and written["seed"] == 0
    with open(out / "skipped.csv", newline="") as file:
        [record] = csv.DictReader(file)
    assert record["source"] == "dicom_folder" and record["item"].endswith("broken.dcm") and record["on_purpose"] == "no"
    make_catalog(folders[1:], out)
    assert json.loads((out / "split.json").read_text())["patients"] == chosen, "patients that are away for once are forgotten"
    with pytest.raises(BadConfig, match="made with seed 0"):
        make_catalog(folders, out, seed=1)


@pytest.mark.parametrize("text", ["[]", "{}", "no json", '{"seed": 0, "patients": {"a/1": "dev"}}', '{"seed": 0, "patients": ["a"]}'])
def test_a_split_that_is_none_is_named(tmp_path, text):
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(BadFile, match="split.json"):
        read_split(tmp_path / "split.json", seed=0)


@pytest.mark.parametrize("text,says", [
    ("miass=x", "did you mean mias"), ("cbis-ddsm=x", "did you mean cbis_ddsm"), ("MIAS=x", "did you mean mias"), ("mias", "NAME=PATH"),
    ("mias=", "NAME=PATH"), ("zzz=x", "there are phantom"),
])  # fmt: skip
def test_a_source_flag_that_cannot_be_read_is_explained(text, says):
    with pytest.raises(BadConfig, match=says):
        parse_source(text)


def test_flags_are_read():
    assert parse_source("mias=/a=b/c") == ("mias", "/a=b/c")
    assert parse_option("cdd_cesm.images=both") == ("cdd_cesm", "images", "both")
    with pytest.raises(BadConfig, match="NAME.OPTION=VALUE"):
        parse_option("cdd_cesm=both")


def test_a_path_that_is_no_data_set_is_explained(tmp_path):
    (tmp_path / "x.txt").write_text("x")
    for path, says in ((tmp_path / "gone", "is not there"), (tmp_path / "x.txt", "neither a folder nor an archive")):
        with pytest.raises(BadFile, match=says):
            build_catalog([("mias", path)], unpack_folder=tmp_path)
    with pytest.raises(BadConfig, match="no source"):
        build_catalog([], unpack_folder=tmp_path)
    with pytest.raises(BadConfig, match="options for cdd_cesm"):
        build_catalog([("mias", tmp_path)], unpack_folder=tmp_path, options={"cdd_cesm": {}})


def test_the_script_prints_the_tree_and_an_error_is_one_line(folders, tmp_path):
    def run(*arguments):
        command = [sys.executable, SCRIPT, *arguments, "--out", tmp_path / "out"]
        return subprocess.run(command, capture_output=True, text=True, cwd=SCRIPT.parents[1], env={"PYTHONPATH": str(SCRIPT.parents[1])})

    good = run("--source", f"mias={folders[0][1]}", "--source", f"dicom_folder={folders[2][1]}", "--option", "dicom_folder.frames=all")
    assert good.returncode == 0 and good.stdout.startswith("catalog: 7 images")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"catalog.parquet", "split.json", "skipped.csv", "pseudonyms.key"}
    (tmp_path / "empty").mkdir()
    bad = run("--source", f"mias={tmp_path / 'empty'}")
    assert bad.returncode == 2 and len(bad.stderr.splitlines()) == 1 and "is an empty folder" in bad.stderr


def test_the_address_of_an_archive_is_read_like_the_archive(tmp_path):
    make_mias(tmp_path / "tree")
    archive = shutil.make_archive(str(tmp_path / "films"), "zip", tmp_path / "tree")
    by_path, by_address = (build_catalog([("mias", path)], unpack_folder=tmp_path).rows for path in (archive, f"zip://{archive}"))
    assert by_address == by_path and len(by_path) > 0
