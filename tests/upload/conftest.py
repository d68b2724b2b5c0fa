"""A folder of films with something planted in each, and an upload of it to a bucket on loopback."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.datadict import dictionary_has_tag

from mammolibs.imaging.deidentify_table import profile_actions
from mammolibs.imaging.dicom_write import mammogram_bytes
from mammolibs.pipeline.cli import parse_options
from scripts import upload
from tests.imaging.test_deidentify import plant
from tests.imaging.test_dicom_write import HEADER
from tests.ingest.conftest import draw_film
from tests.storage.gcs_server import GcsServer

TO = "gs://bucket/raw"
TAGS = tuple(tag for tag in profile_actions() if dictionary_has_tag(tag))


@pytest.fixture
def server(monkeypatch):
    with GcsServer("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        yield server
        assert server.violations == []


@pytest.fixture
def film(tmp_path):
    draw_film(tmp_path / ".film.png", 0)
    return cv2.imread(str(tmp_path / ".film.png"), cv2.IMREAD_UNCHANGED).astype(np.uint16) * 16


@pytest.fixture
def folder(tmp_path, film):
    """Three exams with something planted in headers and names, and one file that is no DICOM."""
    folder = tmp_path / "in"
    for n in range(3):
        header = replace(HEADER, instance_uid=f"1.2.3.990{n}", patient_id=f"ZQ0000000{n}", view="CC", spacing_mm=0.5)
        data = pydicom.dcmread(io.BytesIO(mammogram_bytes(film + n, header)))
        kept = {keyword: data[keyword].value for keyword in ("SOPInstanceUID", "PatientID", "PatientAge", "SeriesDescription")}
        plant(data, TAGS).update(kept)
        (folder / f"ZQ{n:08X}").mkdir(parents=True)
        data.save_as(folder / f"ZQ{n:08X}" / "ZQ44444444.dcm")
    (folder / "ZQ55555555.txt").write_text("ZQ66666666")
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch):
    """An upload in this process: spawning is the pool's own test."""
    monkeypatch.setattr(upload, "map_files", _here(upload.map_files))

    def call(folder, *flags, to=TO):
        flags = flags or ("--key", str(tmp_path / "my.key"))
        return upload.Upload(parse_options(upload.Options, [str(folder), to, *flags, "--skipped", str(tmp_path / "skipped.csv")])).run()

    return call


def _here(map_files):
    return lambda function, items, **how: map_files(function, items, **{**how, "workers": 0})


def objects(server, prefix="raw/"):
    return {name.removeprefix(prefix): held for name, held in server.objects.buckets["bucket"].items() if name.startswith(prefix)}


def skipped(tmp_path):
    return {Path(row["item"]).name: row["reason"] for row in csv.DictReader((tmp_path / "skipped.csv").open())}
