"""scripts/upload.py against a bucket on loopback: nothing leaks, nothing is sent twice, what must stay is told."""

from __future__ import annotations

import functools
import gzip
import io
import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from mammolibs.catalog import SOURCES, Skipped, make_catalog, read_catalog, read_skipped, write_skipped
from mammolibs.errors import BadConfig, BadData, BadFile, RuntimeUnavailable
from mammolibs.imaging import open_key, read_facts
from mammolibs.imaging.dicom_write import mammogram_bytes
from mammolibs.ingest import ingest_images
from mammolibs.pipeline.cli import parse_options
from mammolibs.prepare import Contract
from mammolibs.storage import open_store
from scripts import upload
from tests.catalog.conftest import MAKERS
from tests.imaging.test_dicom_write import HEADER
from tests.upload.conftest import TO, objects, skipped

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_there_is_not_sent_again_and_what_was_damaged_is(server, folder, run):
    assert " 3 sent " in run(folder)
    name = next(name for name in objects(server) if name.endswith(".dcm"))
    before, writes = objects(server)[name].data, server.counts["write"]
    assert " 0 sent (0.0 MB), 3 there already" in run(folder) and server.counts["write"] == writes and server.counts["read"] == 1
    server.put("bucket", f"raw/{name}", before[:-1] + b"?")
    assert " 1 sent " in run(folder) and objects(server)[name].data == before


def test_a_broken_connection_costs_nothing_and_a_lost_bucket_stops_all(server, folder, run, monkeypatch):
    monkeypatch.setattr("mammolibs.storage.gcs.GcsStore._retry", _quick)
    server.plant("reset", on="write", times=2)
    server.plant("wrong_bytes", on="write")
    assert " 3 sent " in run(folder)
    with pytest.raises(BadFile, match="no such bucket"):
        run(folder, to="gs://elsewhere/raw")
    server.plant("401", on="list")
    with pytest.raises(RuntimeUnavailable, match="no valid credentials"):
        run(folder)


def _quick(store):
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_delay(initial=0.001, maximum=0.01, multiplier=2).with_timeout(20)


def test_another_key_for_the_same_place_is_refused(server, folder, run, tmp_path):
    run(folder)
    with pytest.raises(BadConfig, match="was filled with another key"):
        run(folder, "--key", str(tmp_path / "other.key"))
    assert open_key(tmp_path / "my.key").key.hex().encode() not in b"".join(held.data for held in objects(server).values())


def test_text_in_the_pixels_copies_and_other_kinds_stay_here(server, folder, film, run, tmp_path):
    written = film.copy()
    text = cv2.putText(np.zeros(film.shape, np.uint8), "ANNA SMITH", (70, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1)
    written[text > 127] = 4000
    for name, pixels, more in (("text", written, {}), ("told", film, {"burned_in": True}), ("copy", film, {"instance_uid": "1.2.3.9900"})):
        header = replace(HEADER, **{"instance_uid": f"1.2.3.{len(name)}{name == 'told':d}", **more})
        (folder / f"{name}.dcm").write_bytes(mammogram_bytes(pixels, header))
    (folder / "cut.dcm").write_bytes(mammogram_bytes(film, replace(HEADER, instance_uid="1.2.3.7"))[:-100])
    (folder / "film.png").write_bytes((tmp_path / ".film.png").read_bytes())
    (folder / "DICOMDIR").write_bytes((folder / "copy.dcm").read_bytes())
    assert "; 3 skipped, 4 of other kinds or copies" in run(folder)
    told = skipped(tmp_path)
    assert "letters stand in lines" in told["text.dcm"] and "BurnedInAnnotation" in told["told.dcm"] and "cut short" in told["cut.dcm"]
    assert "lists the files" in told["DICOMDIR"] and "no DICOM" in told["film.png"] and "no DICOM" in told["ZQ55555555.txt"]
    assert told["ZQ44444444.dcm"] == f"has the SOP Instance UID of {folder / 'copy.dcm'}"


def test_a_folder_of_which_most_cannot_go_is_an_error(server, tmp_path, run):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(b"no DICOM")
    with pytest.raises(BadData, match="0 brought over, 1 could not be.*a.dcm"):
        run(tmp_path / "in")


@pytest.mark.parametrize(("text", "brightness", "marker"), [("ANNA SMITH", 0.41, 1.0), ("654321", 1.0, 0.0), ("12.03.51", 1.0, 0.0)])
def test_text_beside_a_white_marker_and_short_numbers_stay_here(server, tmp_path, film, run, text, brightness, marker):
    top = 4095
    written = cv2.putText(np.zeros(film.shape, np.uint8), text, (70, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1)
    pixels = np.where(written > 127, np.uint16(brightness * top), film)
    pixels[40:60, -40:-20] = np.maximum(pixels[40:60, -40:-20], np.uint16(marker * top))
    (tmp_path / "in").mkdir()
    header = replace(HEADER, instance_uid="1.2.3.9", view="CC", spacing_mm=0.5)
    (tmp_path / "in" / "text.dcm").write_bytes(mammogram_bytes(pixels, header))
    (tmp_path / "in" / "clean.dcm").write_bytes(mammogram_bytes(film, replace(header, instance_uid="1.2.3.10")))
    assert "1 sent" in run(tmp_path / "in")
    assert "letters stand in lines" in skipped(tmp_path)["text.dcm"]


def test_a_folder_of_which_nothing_goes_says_why(server, tmp_path, run):
    (tmp_path / "in").mkdir()
    with pytest.raises(BadData, match="in: holds no file"):
        run(tmp_path / "in")
    (tmp_path / "in" / "notes.txt").write_text("no image")
    with pytest.raises(BadData, match="0 brought over, 0 could not be, 1 of other kinds or copies, first .*notes.txt: is no DICOM file"):
        run(tmp_path / "in")


def test_shards_go_as_they_are_and_dicom_never_does(server, folder, run, tmp_path, capsys):
    (folder / "train").mkdir()
    (folder / "train" / "index.json").write_text("{}")
    with pytest.raises(BadData, match="3 could not be"):
        run(folder, "--as-is")
    assert sorted(objects(server)) == ["ZQ55555555.txt", "train/index.json"] and "AS IS" in capsys.readouterr().err
    assert "DICOM, which never leaves as it is" in skipped(tmp_path)["ZQ44444444.dcm"]


def test_notes_of_an_unfinished_shard_set_stay_here(server, run, tmp_path):
    folder = tmp_path / "in" / "train"
    folder.mkdir(parents=True)
    (folder / "index.json").write_text("{}")
    (folder / "journal-00000.json").write_text('{"lost": [["/home/JANE/a.dcm", "is cut short"]]}')
    assert "1 of other kinds" in run(tmp_path / "in", "--as-is")
    assert list(objects(server)) == ["train/index.json"] and "unfinished" in skipped(tmp_path)["journal-00000.json"]


def test_a_catalog_and_its_shards_go_without_the_names_of_files(server, film, run, tmp_path):
    for number in range(4):
        path = tmp_path / "in" / f"JANE{number}.dcm"
        path.parent.mkdir(exist_ok=True)
        header = replace(HEADER, instance_uid=f"1.2.{number}", patient_id=f"P{number}", view="CC", spacing_mm=0.5)
        path.write_bytes(mammogram_bytes(film, header))
    data = tmp_path / "data"
    rows = make_catalog([("dicom_folder", tmp_path / "in")], data).rows
    (tmp_path / "in" / "JANE3.dcm").unlink()
    contract = Contract(canvas_height_px=96, canvas_width_px=64)
    report = ingest_images(rows, contract, data / "shards", workers=0, skip_share=0.5, progress=False)
    write_skipped(data / "shards" / "skipped.csv", [Skipped(item, reason) for item, reason in report.skipped])
    (data / "ingest.json").write_text("[]")
    assert "; 2 skipped" in run(data, "--as-is")
    told = skipped(tmp_path)
    assert "de-identification key" in told["pseudonyms.key"] and "is no note of an ingest" in told["ingest.json"]
    there = objects(server)
    assert set(there) == {p.relative_to(data).as_posix() for p in data.rglob("*") if p.is_file()} - {
        "shards/.shards.lock",
        "pseudonyms.key",
        "ingest.json",
    }
    assert not [name for name, held in there.items() if b"JANE" in held.data or str(tmp_path).encode() in held.data]
    assert read_catalog(f"{TO}/catalog.parquet") == [replace(row, path="") for row in rows]
    assert [(item.item, item.reason) for item in read_skipped(f"{TO}/shards/skipped.csv")] == [("", "is not there any more")]
    assert json.loads(there["shards/ingest.json"].data)["written"] == report.written


@pytest.mark.parametrize("name", ["cmmd", "cbis_ddsm", "duke_mri"])
def test_a_published_set_in_the_bucket_is_the_set_to_its_source(server, run, tmp_path, capsys, name):
    MAKERS[name](tmp_path / "in")
    for path, data in ((".hidden.csv", b"a"), ("film.zip", b"PK"), ("table.csv.gz", gzip.compress(b"a,b\n1,2\n")), ("key.txt", b"")):
        (tmp_path / "in" / path).write_bytes(data)
    (tmp_path / "in" / "key.txt").unlink()
    open_key(tmp_path / "in" / "key.txt")
    said = run(tmp_path / "in", "--key", str(tmp_path / "my.key"), "--published")
    assert "; 1 skipped, 1 of other kinds" in said and "PUBLISHED: gs://bucket/raw gets as they are: patient ids" in capsys.readouterr().err
    assert "de-identification key" in skipped(tmp_path)["key.txt"] and "no source reads" in skipped(tmp_path)["film.zip"]
    sent = {path.relative_to(tmp_path / "in").as_posix() for path in (tmp_path / "in").rglob("*") if path.is_file()}
    assert set(objects(server)) == sent - {".hidden.csv", "film.zip", "key.txt"} | {"deidentification.json"}
    for path, held in objects(server).items():
        (tmp_path / "got" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "got" / path).write_bytes(held.data)
    before, after = ([_placeless(row) for row in SOURCES[name](tmp_path / where).rows] for where in ("in", "got"))
    assert before == after and len(before) > 1
    image = next(path for path in (tmp_path / "got").rglob("*.dcm"))
    assert pydicom.dcmread(image).DeidentificationMethodCodeSequence[-1].CodeValue == "113110"
    with pytest.raises(BadConfig, match=r"with another key, or not in this way \(--published\)"):
        run(tmp_path / "in", "--key", str(tmp_path / "my.key"))


def _placeless(row):
    lesions = tuple(replace(lesion, outline=replace(lesion.outline, path=None)) for lesion in row.lesions)
    return replace(row, path="", lesions=lesions)


def test_of_a_published_set_too_what_shows_text_stays_here_and_the_key_moves_dates(server, folder, film, run, tmp_path):
    header = replace(HEADER, instance_uid="1.2.3.8", burned_in=True)
    (folder / "told.dcm").write_bytes(mammogram_bytes(film, header))
    assert "; 1 skipped" in run(folder, "--key", str(tmp_path / "my.key"), "--published")
    assert "BurnedInAnnotation" in skipped(tmp_path)["told.dcm"]
    name = "ZQ00000001/ZQ44444444.dcm"
    got, before = pydicom.dcmread(io.BytesIO(objects(server)[name].data)), pydicom.dcmread(folder / name)
    assert (got.PatientID, got.SOPInstanceUID) == (before.PatientID, before.SOPInstanceUID) and got.StudyDate != before.StudyDate
    assert "InstitutionName" in before and "InstitutionName" not in got


@pytest.mark.parametrize("flags", [("--tables", "a.csv:b=keep"), ("--issuer", "x")])
def test_published_tables_are_not_mapped(flags):
    with pytest.raises(BadConfig, match="--published sends all tables as they are"):
        parse_options(upload.Options, ["in", TO, "--key", "k", "--published", *flags])


@pytest.mark.parametrize("flags", [
    (), ("--as-is", "--key", "k"), ("--as-is", "--tables", "a.csv:b=keep"), ("--as-is", "--published"), ("--published",),
])  # fmt: skip
def test_a_key_or_as_is_and_not_both(flags):
    with pytest.raises(BadConfig, match="give --key FILE to de-identify, or --as-is"):
        parse_options(upload.Options, ["in", TO, *flags])


def test_a_key_does_not_lie_in_the_folder_and_the_address_is_a_buckets(tmp_path):
    with pytest.raises(BadConfig, match="keep it elsewhere"):
        parse_options(upload.Options, [str(tmp_path), TO, "--key", str(tmp_path / "a" / "k")])
    with pytest.raises(BadConfig, match="expected gs://BUCKET/PREFIX"):
        parse_options(upload.Options, [str(tmp_path), "elsewhere", "--key", "k"])


def test_what_workers_are_given_can_be_handed_over(server, folder, tmp_path):
    key, path = open_key(tmp_path / "my.key"), next(folder.rglob("*.dcm"))
    sending = functools.partial(upload.send_image, store=open_store(TO), pseudonyms=key)
    function, job = pickle.loads(pickle.dumps((sending, upload.Job(path, "a", None))))
    assert function(job) == len(objects(server)["a"].data) > 0
    facts = tmp_path / "a.dcm"
    facts.write_bytes(objects(server)["a"].data)
    assert (read_facts(facts).laterality, read_facts(facts).view) == ("L", "CC")


def test_the_script_says_in_one_line_what_is_wrong(tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "upload.py"), "gone", TO, "--key", "k"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120)
    assert (done.returncode, done.stdout) == (2, "") and not (tmp_path / "k").exists()
    assert done.stderr == "gone: is no folder; give the folder that holds what to bring over\n"
