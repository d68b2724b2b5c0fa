"""Nothing that a header says of a person leaves it: planted in every identifying element, looked for in all that is made of the files."""

from __future__ import annotations

import io
import json
import runpy
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
from pydicom.datadict import dictionary_has_tag
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLosslessSV1

from mammolibs.catalog import make_catalog, read_catalog, read_skipped
from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.imaging import open_key
from mammolibs.imaging.deidentify_table import profile_actions
from mammolibs.imaging.dicom_write import mammogram_bytes
from mammolibs.imaging.pool import map_files
from mammolibs.ingest import ingest_images, read_row
from mammolibs.pipeline.chain import remembered
from mammolibs.pipeline.cli import parse_options
from mammolibs.pipeline.data import write_shards_of
from mammolibs.pipeline.options import TrainOptions
from mammolibs.pipeline.run import Run, RunSettings
from mammolibs.prepare import Contract
from mammolibs.shards import open_index, read_sample
from mammolibs.storage import mirror_of, open_store
from scripts import upload
from tests.imaging.make import COMPRESSED
from tests.imaging.test_deidentify import PLANTED, plant
from tests.imaging.test_dicom_write import HEADER
from tests.ingest.conftest import draw_film
from tests.storage.gcs_server import GcsServer

ROOT = Path(__file__).resolve().parents[1]
TAGS = tuple(tag for tag in profile_actions() if dictionary_has_tag(tag))
# In names of files: those stay on the machine, in the catalog and in what is said of a file; nothing else has them.
NAMED = "JANEDOE"
# Planted values that are none of their kind: pydicom warns of the first, and fails on the second.
INVALID = {b"1.2.3.992097234": b"ZQ00200052 no u", b"0.12345678": b"ZQ00101030"}
CONTRACT = Contract(canvas_height_px=96, canvas_width_px=64)


@pytest.fixture
def server(monkeypatch, tmp_path):
    with GcsServer("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        monkeypatch.setenv("MAMMOLIBS_CACHE", str(tmp_path / "cache"))
        yield server
        assert server.violations == []


@pytest.fixture
def folder(tmp_path):
    """Three patients with something planted in every identifying element, in frames and in private elements; a copy; a file that is cut."""
    draw_film(tmp_path / "film.png", 0)
    film = cv2.imread(str(tmp_path / "film.png"), cv2.IMREAD_UNCHANGED).astype(np.uint16) * 16
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{NAMED}{number}.dcm").write_bytes(planted_file(film + number, number))
    shutil.copy(tmp_path / "in" / f"{NAMED}0.dcm", tmp_path / "in" / f"{NAMED}copy.dcm")
    (tmp_path / "in" / f"{NAMED}cut.dcm").write_bytes(planted_file(film, 4)[:3000])
    return tmp_path / "in"


def planted_file(film: np.ndarray, number: int) -> bytes:
    header = replace(HEADER, instance_uid=f"1.2.3.990{number}", patient_id=f"ZQ0000000{number}", view="CC", spacing_mm=0.5, age_years=94)
    data = pydicom.dcmread(io.BytesIO(mammogram_bytes(film, header)))
    kept = {keyword: data[keyword].value for keyword in ("SOPInstanceUID", "PatientID", "PatientAge")}
    plant(data, TAGS).update(kept)
    data.StudyInstanceUID, data.FrameOfReferenceUID, data.PatientWeight = f"1.2.3.9910{number}", *(text.decode() for text in INVALID)
    frame = COMPRESSED["JPEG lossless SV1"].encode(film, 12)
    data.PixelData = encapsulate([frame[:2] + b"\xff\xfe\0\x0cZQ7FE00010" + frame[2:]])
    data["PixelData"].is_undefined_length, data.file_meta.TransferSyntaxUID = True, JPEGLosslessSV1
    buffer = io.BytesIO()
    data.save_as(buffer)
    written = buffer.getvalue()
    for valid, invalid in INVALID.items():
        assert valid in written and len(valid) == len(invalid)
        written = written.replace(valid, invalid)
    return written


@pytest.fixture
def call(monkeypatch, capfd):
    """A script in this process; its exit code and all that it printed."""

    def run(script: str, *arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", [script, *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as done:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        printed = capfd.readouterr()
        return done.value.code or 0, printed.out + printed.err

    return run


def decoded(name: str, data: bytes) -> bytes:
    """The bytes of a file, and what its table holds once it is unpacked."""
    return data + (repr(pq.read_table(io.BytesIO(data)).to_pylist()).encode() if name.endswith(".parquet") else b"")


def samples(*places: str | Path) -> bytes:
    """All that shard sets tell of their samples."""
    stores = [open_store(f"{place}/{split}") for place in places for split in ("train", "validation", "test")]
    return b"".join(repr(read_sample(store, index, row)).encode() for store in stores if store.exists("index.json")
                    for index in [open_index(store)] for row in range(len(index)))  # fmt: skip


def test_nothing_planted_reaches_catalog_shards_bucket_page_audit_errors_or_upload(
    server, folder, tmp_path, call, monkeypatch, recwarn, caplog
):
    planted = b"".join(path.read_bytes() for path in folder.iterdir())
    assert len(set(PLANTED.findall(planted))) > 350 and all(invalid in planted for invalid in INVALID.values())
    data, page = tmp_path / "data", tmp_path / "page.html"
    said = [call("dataset_enhancement/build_catalog.py", "--source", f"dicom_folder={folder}", "--out", data)]
    small = ("--workers", "0", "--preset", "cpu", "--canvas", "96x64", "--lanes", "2")
    said += [call("dataset_enhancement/make_shards.py", "--catalog", data, *small)]
    said += [call("dataset_enhancement/make_shards.py", "--catalog", data, *small, "--out", "gs://bucket/mine/shards")]
    said += [call("dataset_enhancement/audit_split.py", "--catalog", data, "--workers", "0", "--cache", tmp_path / "audit")]
    places = (data, "gs://bucket/mine/shards", "gs://bucket/mine")
    said += [call("scripts/browse.py", place, "--out", page, "--workers", "0") for place in places]
    monkeypatch.setattr(upload, "map_files", lambda function, items, **how: map_files(function, items, **{**how, "workers": 0}))
    flags = ("--key", str(data / "pseudonyms.key"), "--skipped", str(tmp_path / "left.csv"))
    said += [(0, upload.Upload(parse_options(upload.Options, [str(folder), "gs://bucket/raw", *flags])).run())]
    # The films are nearly the same, so the audit names their patients.
    assert [code for code, _ in said] == [0, 0, 0, 1, 0, 0, 0, 0] and "near-duplicate pixels" in said[3][1]
    # Errors: a folder of which nothing can be read, a file that is damaged once it is in the catalog, and images whose places are not told.
    (tmp_path / "bad").mkdir()
    shutil.copy(folder / f"{NAMED}cut.dcm", tmp_path / "bad" / "cut.dcm")
    said += [call("dataset_enhancement/build_catalog.py", "--source", f"dicom_folder={tmp_path / 'bad'}", "--out", tmp_path / "b")]
    said += [call("dataset_enhancement/make_shards.py", "--catalog", "gs://bucket/mine", *small)]
    assert [code for code, _ in said[-2:]] == [2, 2] and "came without its images' places" in said[-1][1]
    row = read_catalog(data / "catalog.parquet")[0]
    Path(row.path).write_bytes(Path(row.path).read_bytes()[:-300])
    with pytest.raises(BadFile) as error:
        read_row(row)
    said += [(2, str(error.value))]

    made = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and folder not in path.parents}
    made = {name: held for name, held in made.items() if not name.startswith((str(tmp_path / "bad"), str(tmp_path / "film")))}
    there = {name: held.data for name, held in server.objects.buckets["bucket"].items()}
    assert {"mine/catalog.parquet", "mine/shards/skipped.csv", "mine/shards/ingest.json", "raw/deidentification.json"} <= set(there)
    told = {"samples": samples(data / "shards", "gs://bucket/mine/shards"), "said": repr(said).encode(), "logged": caplog.text.encode()}
    told["metadata"] = repr([held.metadata for held in server.objects.buckets["bucket"].values()]).encode()
    told["warned"] = repr([str(warning.message) for warning in recwarn.list]).encode()
    everything = {name: name.encode() + decoded(name, held) for name, held in (made | there | told).items()}
    assert not [(name, PLANTED.findall(held)) for name, held in everything.items() if PLANTED.search(held)]
    # Names of files and their folders stay on the machine, and so does the key.
    key = open_key(data / "pseudonyms.key").key.hex().encode()
    shards = {str(path): path.read_bytes() for path in (data / "shards").glob("*/*")}
    leaving = {name: everything[name] for name in (*there, "samples", "metadata")} | {"page": page.read_bytes()} | shards
    secret = (NAMED.encode(), key, str(tmp_path).encode())
    assert not [(name, word) for name, held in leaving.items() for word in secret if word in held]
    assert key not in b"".join(held for name, held in everything.items() if not name.endswith(".key"))
    assert len(read_catalog("gs://bucket/mine/catalog.parquet")) == 3


def places_are_this_machines(settings, tmp_path):
    """Of a run in a bucket: this machine knows its settings, another one asks for what lies here and is told once."""
    run = Run.open("gs://bucket/runs/q")
    assert run.settings == settings
    mirror_of(run.folder).send()
    kept = json.loads(open_store("gs://bucket/runs/q").read("run.json"))
    assert kept["data"] is None and kept["source_options"] == ["csv.table=", "csv.issuer=", "csv.truth=read"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAMMOLIBS_CACHE", str(tmp_path / "another machine"))
        there = Run.open("gs://bucket/runs/q")
        with pytest.raises(BadConfig, match="where its catalog and shards lie on this machine is not known; give --data FOLDER once"):
            there.data  # noqa: B018
        with pytest.raises(BadConfig, match="give --option csv.table=VALUE and --option csv.issuer=VALUE"):
            remembered(there.folder, TrainOptions(run=str(there.folder), source=("dicom_folder=x",)))
        with pytest.raises(BadConfig, match="another source_options"):
            Run.create(there.folder, replace(settings, source_options=("csv.table=a", "csv.issuer=b", "csv.truth=birads")))
        with pytest.raises(BadConfig, match="another data"):
            Run.create(there.folder, replace(settings, data=""))
        assert Run.open(there.folder, data="/nowhere").data == Run.open(there.folder).data == Path("/nowhere")
        with pytest.raises(BadConfig, match="was made with --data /nowhere"):
            Run.open(there.folder, data="/elsewhere")


def test_a_run_in_a_bucket_gets_neither_places_nor_key_and_goes_on_here(server, folder, tmp_path, capfd):
    """What `--run gs://` sends of catalog, lists, settings and shards; on this machine the images are still found."""
    settings = RunSettings(preset="cpu", seed=0, contract=CONTRACT.to_dict(), sources=(("dicom_folder", str(folder)),))
    # What a run that reads its data elsewhere on this machine, by an option that names a file, tells.
    other = replace(settings, data=str(folder), source_options=(f"csv.table={NAMED}.csv", "csv.issuer=St Mary", "csv.truth=read"))
    Run.create("gs://bucket/runs/q", other)
    run = Run.create("gs://bucket/runs/p", settings)
    (folder / f"{NAMED}2.dcm").write_bytes(planted_file(np.full((240, 200), 100, np.uint16), 2))
    with pytest.raises(BadConfig, match="no bucket gets the key of your patients' pseudonyms; give --key FILE on this machine"):
        make_catalog(run.settings.sources, run.data)
    run.data.mkdir()
    catalog = make_catalog(run.settings.sources, run.data, key=run.data / "pseudonyms.key")
    with pytest.raises(BadData):
        write_shards_of(run, TrainOptions(run="x", workers=0), catalog)
    report = ingest_images(catalog.rows, CONTRACT, run.data / "shards", workers=0, lanes=2, skip_share=0.5, progress=False)
    assert len(report.skipped) == 1 and (run.data / "pseudonyms.key").is_file()
    mirror = mirror_of(run.folder)
    mirror.send()
    there = {name: held.data for name, held in server.objects.buckets["bucket"].items()}
    assert {"runs/p/run.json", "runs/p/data/catalog.parquet", "runs/p/data/skipped.csv", "runs/p/data/shards/ingest.json"} <= set(there)
    told = b"".join(name.encode() + decoded(name, held) for name, held in there.items())
    secret = (NAMED.encode(), str(tmp_path).encode(), open_key(run.data / "pseudonyms.key").key.hex().encode())
    assert not PLANTED.search(told) and not [word for word in secret if word in told]
    assert json.loads(there["runs/p/run.json"])["sources"] == [["dicom_folder", ""]]
    places_are_this_machines(other, tmp_path)
    (run.folder / ".places.json").rename(tmp_path / "places.json")
    with pytest.raises(BadConfig, match="not all known on this machine; give --source dicom_folder=PATH"):
        remembered(run.folder, TrainOptions(run=str(run.folder)))
    assert Run.create(run.folder, settings).settings.sources == (("dicom_folder", ""),)
    (tmp_path / "places.json").rename(run.folder / ".places.json")
    assert remembered(run.folder, TrainOptions(run=str(run.folder))).source == (f"dicom_folder={folder}",)
    assert len(read_skipped(run.data / "skipped.csv")) == 2 == len(catalog.skipped)
    assert read_catalog(run.catalog) == catalog.rows and Run.open(run.folder).settings == run.settings
    mirror.fetch()
    assert (run.data / "pseudonyms.key").is_file() and read_catalog(run.catalog) == catalog.rows
    elsewhere = read_catalog("gs://bucket/runs/p/data/catalog.parquet")
    assert {row.path for row in elsewhere} == {""} and [row.image_id for row in elsewhere] == [row.image_id for row in catalog.rows]
    with pytest.raises(BadFile, match="this catalog came without its images' places; work on the machine that made it"):
        read_row(elsewhere[0])
    with pytest.raises(BadData, match="came without its images' places"):
        ingest_images(elsewhere, CONTRACT, "gs://bucket/runs/p/data/shards", workers=0, progress=False)
    assert there["runs/p/data/shards/ingest.json"] == open_store("gs://bucket/runs/p/data/shards").read("ingest.json")
    assert not PLANTED.search(repr(capfd.readouterr()).encode())
