"""What a user with something broken gets from the scripts: one line that names it and the remedy, exit code 2."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from mammolibs.catalog import read_catalog, write_catalog
from tests.walk import flow_faults


def said(answer, *words):
    """The call failed as it should, with one line that holds these words."""
    code, printed = answer
    line = printed.strip().splitlines()[-1]
    assert code == 2 and "Traceback" not in printed, printed
    assert all(str(word) in line for word in words), line


def flip_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def vanish(run, split):
    """One catalogued image of that split has been moved elsewhere; returns its id, and the path that the catalog has."""
    catalog = run / "data" / "catalog.parquet"
    rows, gone = read_catalog(catalog), str(run / "gone.dcm")
    at = next(i for i, row in enumerate(rows) if row.split == split)
    write_catalog(catalog, [replace(row, path=gone) if i == at else row for i, row in enumerate(rows)])
    return rows[at].image_id, gone


def test_a_flipped_byte_in_a_shard_ends_training(run_copy, call):
    for shard in (run_copy / "data" / "shards" / "train").glob("*.tar"):
        flip_byte(shard)
    said(
        call("train/unet/finetune.py", "--run", run_copy, "--pretrain", "no", "--it", "2", "--workers", "0"),
        "shards/train/lane",
        "make the shards again",
    )


def test_a_run_folder_that_cannot_be_written(tmp_path, call):
    (tmp_path / "file").write_text("in the way")
    said(
        call("scripts/make_phantoms.py", "--exams", "1", "--rows", "512", "--out", tmp_path / "file" / "x"),
        tmp_path / "file",
        "choose a folder",
    )
    said(call("mammolibs/pipeline/__main__.py", "--run", tmp_path / "file" / "run"), tmp_path / "file", "choose a --run")


def test_an_image_that_has_vanished_is_skipped_and_listed(run_copy, call):
    image_id, _ = vanish(run_copy, "test")
    code, _ = call("eval/pipeline_eval.py", "--run", run_copy, "--workers", "0")
    report = json.loads((run_copy / "report" / "report.json").read_text())
    assert code == 0 and [image["image_id"] for image in report["data"]["unread"]] == [image_id]
    step = next(step for step in report["data"]["flow"]["steps"] if step["step"] == "held-out images")
    assert flow_faults(report) == [] and [reason["count"] for reason in step["left_out"]] == [1] and "not" in step["left_out"][0]["reason"]


def test_an_image_that_vanished_before_its_sample_was_made(run_copy, tmp_path, call):
    _, vanished = vanish(run_copy, "train")
    code, _ = call("dataset_enhancement/make_shards.py", "--catalog", run_copy / "data", "--out", tmp_path / "shards")
    with (tmp_path / "shards" / "skipped.csv").open() as file:
        assert code == 0 and vanished in file.read()


@pytest.mark.parametrize(
    ("name", "script", "words"),
    [
        ("run.json", "train/unet/finetune.py", ("run.json", "another --run")),
        ("operating.json", "scripts/predict.py", ("operating.json", "pipeline_eval.py")),
        ("unet/best.json", "eval/unet_eval.py", ("best.json", "name an iteration")),
        ("unet/model_iter_2.safetensors", "eval/unet_eval.py", ("model_iter_2.safetensors",)),
        ("data/catalog.parquet", "eval/pipeline_eval.py", ("catalog.parquet",)),
        ("data/shards/train/index.json", "train/unet/finetune.py", ("index.json", "again")),
    ],
)
def test_a_damaged_file_of_a_run(name, script, words, run_copy, tmp_path, call):
    (run_copy / name).write_bytes((run_copy / name).read_bytes()[:40])
    image = next(Path(run_copy / "phantoms").rglob("*.dcm"))
    arguments = {
        "scripts/predict.py": (image, "--out", tmp_path / "out"),
        "train/unet/finetune.py": ("--pretrain", "2", "--it", "1"),
        "eval/unet_eval.py": () if "best" in name else ("--iter", "2"),
    }
    said(call(script, "--run", run_copy, *arguments.get(script, ())), *words)


def test_weights_that_are_none(run_copy, tmp_path, call):
    (tmp_path / "mine.pth").write_text("not weights")
    said(
        call("train/resnet/train_resnet.py", "--run", run_copy, "--pretrain", "no", "--weights", tmp_path / "mine.pth", "--workers", "0"),
        tmp_path / "mine.pth",
    )
    said(call("train/unet/finetune.py", "--run", run_copy, "--pretrain", "20"), "model_iter_20", "iterations that are: 1, 2")


def test_a_folder_without_images(run_copy, tmp_path, call):
    (tmp_path / "empty").mkdir()
    said(call("scripts/predict.py", tmp_path / "empty", "--run", run_copy), tmp_path / "empty", "give another one")
    said(
        call("mammolibs/pipeline/__main__.py", "--source", f"dicom_folder={tmp_path / 'empty'}", "--run", tmp_path / "run"),
        tmp_path / "empty",
    )
    said(call("dataset_enhancement/extract_dicom.py", tmp_path / "empty", "--out", tmp_path / "out"), tmp_path / "empty")


def test_skipped_files_of_a_folder_are_listed(run_copy, tmp_path, call):
    images = tmp_path / "images"
    images.mkdir()
    good = next(Path(run_copy / "phantoms").rglob("*L_CC.dcm"))
    (images / "good.dcm").write_bytes(good.read_bytes())
    (images / "cut.dcm").write_bytes(good.read_bytes()[:2000])
    (images / "text.dcm").write_text("not DICOM")
    code, _ = call("scripts/predict.py", images, "--run", run_copy, "--out", tmp_path / "out")
    with (tmp_path / "out" / "skipped.csv").open(newline="") as file:
        listed = {Path(row["file"]).name for row in csv.DictReader(file)}
    assert code == 0 and listed == {"cut.dcm", "text.dcm"}
    assert (tmp_path / "out" / "good.dcm.findings.json").is_file()


def test_a_folder_without_known_lesions_is_refused_before_anything_is_trained(whole_run, tmp_path, call):
    image = next((whole_run / "phantoms" / "images").rglob("*.dcm"))
    for number in range(12):
        (tmp_path / "in" / f"patient{number}").mkdir(parents=True)
        (tmp_path / "in" / f"patient{number}" / f"{number}.dcm").write_bytes(image.read_bytes())
    for further in ((), ("--dry-run",)):
        answer = call(
            "mammolibs/pipeline/__main__.py",
            "--source",
            f"dicom_folder={tmp_path / 'in'}",
            "--run",
            tmp_path / "run",
            "--workers",
            0,
            *further,
        )
        said(answer, "no image to train on has a known lesion", "--source with lesions")
    assert not (tmp_path / "run" / "encoder").exists()


def test_a_run_that_is_not_there_names_those_that_are(whole_run, tmp_path, call):
    said(call("scripts/predict.py", "a.dcm", "--run", whole_run.parent / "defualt"), "defualt: no run", "default)")
    (tmp_path / "cv" / "folds" / "0").mkdir(parents=True)
    (tmp_path / "cv" / "folds" / "0" / "run.json").write_text("{}")
    said(call("scripts/predict.py", "a.dcm", "--run", tmp_path / "cv"), "cross-validated", tmp_path / "cv" / "folds" / "0")


def test_nonsense_on_the_command_line_is_named(whole_run, call):
    said(call("scripts/predict.py", "a.dcm", "b.dcm", "--run", whole_run), "b.dcm: one too many", "folder that holds them")
    said(call("scripts/predict.py", "a.dcm", "--run", whole_run, "--spacing-mm", "50"), "--spacing-mm 50", "0.05")
    said(call("scripts/predict.py", "a.dcm", "--rnu", whole_run), "did you mean --run")
