"""How a report says that it was called: nothing of folders, which may be called after people."""

import sys

import pytest

from mammolibs.pipeline.facts import command_line, last_part


@pytest.mark.parametrize(
    "given,told",
    [
        ("dicom_folder=patients/SMITH_JANE/x", "dicom_folder=x"),
        ("dicom_folder=/home/SMITH=JANE/x", "dicom_folder=x"),
        ("dicom_folder=SMITH=JANE/x", "dicom_folder=x"),
        ("--source=dicom_folder=./SMITH_JANE/x/", "--source=dicom_folder=x"),
        ("csv.table=SMITH_JANE/a.csv", "csv.table=a.csv"),
        ("--run=SMITH_JANE/run", "--run=run"),
        ("SMITH_JANE/my.key", "my.key"),
        ("../SMITH_JANE/w.pt", "w.pt"),
        ("zip:///home/SMITH_JANE/x.zip", "x.zip"),
        ("gs://bucket/runs/mine", "gs://bucket/runs/mine"),
        ("--out=gs://bucket/mine", "--out=gs://bucket/mine"),
        ("cmmd=gs://bucket/cmmd", "cmmd=gs://bucket/cmmd"),
        ("csv.malignant=1,IDC", "csv.malignant=1,IDC"),
        ("--it", "--it"),
        ("x", "x"),
        ("", ""),
    ],
)
def test_a_path_is_told_by_its_last_part_and_an_address_whole(given, told):
    assert last_part(given) == told


def test_a_command_names_its_script_and_no_folder(monkeypatch):
    flags = ["--source", "dicom_folder=patients/SMITH_JANE/x", "--key", "SMITH_JANE/my.key", "--run", "gs://bucket/r", "--it", "2"]
    for script, told in (
        ("eval/external_eval.py", "python eval/external_eval.py"),
        ("/SMITH_JANE/eval/unet_eval.py", "python unet_eval.py"),
    ):
        monkeypatch.setattr(sys, "argv", [script, *flags])
        assert command_line() == f"{told} --source dicom_folder=x --key my.key --run gs://bucket/r --it 2"
    monkeypatch.setattr(sys, "argv", ["/SMITH_JANE/mammolibs/pipeline/__main__.py", "--seeds", "2"])
    assert command_line() == "bash train/train.sh --seeds 2"
