"""Data in a bucket: shards made there, stages trained and evaluated from there, in the words of a folder."""

from __future__ import annotations

import hashlib
import json
import runpy
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammolibs.catalog import audit_own, read_catalog, read_skipped, read_verdict, split_hash, write_catalog, write_split
from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.ingest import ingest_images, read_row
from mammolibs.pipeline.chain import run_chain
from mammolibs.pipeline.evaluate_stage import evaluate_stage
from mammolibs.pipeline.options import EvalOptions, TrainOptions, UNetOptions
from mammolibs.pipeline.patches import make_patches
from mammolibs.pipeline.presets import contract_of
from mammolibs.pipeline.run import Run
from mammolibs.pipeline.train_stage import train_stage
from mammolibs.records import ImageRow, Lesion, Outline
from mammolibs.runtime import get_runtime
from mammolibs.shards import open_index, open_shards, read_sample
from mammolibs.storage import open_store
from tests.storage.gcs_server import GcsServer

ROOT = Path(__file__).resolve().parents[2]
DATA = "gs://bucket/mine"
UNET = UNetOptions(data=DATA, pretrain="no", from_scratch=True, preset="cpu", it=1, steps_per_it=2, workers=0)


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    with GcsServer("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        monkeypatch.setenv("MAMMOLIBS_CACHE", str(tmp_path / "cache"))
        yield server
        assert server.violations == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_preset):
    """Catalog and shards of drawn films: 12 patients for training, 6 for validation, 6 for the test; every third has a lesion."""
    films, folder = tmp_path_factory.mktemp("films"), tmp_path_factory.mktemp("data")
    y, x = np.mgrid[:240, :200]
    rows = []
    for number in range(24):
        texture = cv2.GaussianBlur(np.random.default_rng(number).random((240, 200)), (0, 0), 3)
        tissue = 90 + 140 * (texture - texture.min()) / np.ptp(texture)
        cv2.imwrite(str(films / f"{number}.png"), np.where((x / 150) ** 2 + ((y - 120) / 100) ** 2 < 1, tissue, 4).astype(np.uint8))
        pathology = ("malignant", "normal", "normal", "benign", "normal", "normal")[number % 6]
        outline = Outline(shape="circle", points=((60.0, 130.0),), radius_px=12.0)
        lesions = (Lesion(lesion_id="a", kind="mass", pathology=pathology, outline=outline),) if pathology != "normal" else ()
        split = "train" if number < 12 else "validation" if number < 18 else "test"
        who = {"image_id": f"s-{number:02d}", "source": "s", "patient_id": f"s/{number}", "exam_id": f"s/{number}"}
        film = {"path": str(films / f"{number}.png"), "laterality": "L", "view": "CC", "spacing_mm": 0.5}
        rows.append(ImageRow(**who, **film, pathology=pathology, truth="biopsy", lesions=lesions, split=split))
    write_catalog(folder / "catalog.parquet", rows)
    write_split(folder / "split.json", rows, seed=0, verdict=audit_own(rows))
    ingest_images(rows, contract_of("cpu"), folder / "shards", workers=0, lanes=2, progress=False)
    return folder


@pytest.fixture
def data(bucket, folder):
    """The same, copied to the bucket file by file."""
    for path in folder.rglob("*"):
        if path.is_file():
            bucket.put("bucket", f"mine/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return folder


def sha256_of_weights(folder: Path) -> str:
    return hashlib.sha256((folder / "unet" / "model_iter_1.safetensors").read_bytes()).hexdigest()


def test_a_stage_trains_from_a_bucket_to_the_bits_of_a_folder_and_is_evaluated(data, tmp_path, capsys):
    for name, place in (("bucket", DATA + "/"), ("folder", str(data))):
        train_stage("unet", replace(UNET, run=str(tmp_path / name), data=place))
    assert sha256_of_weights(tmp_path / "bucket") == sha256_of_weights(tmp_path / "folder")
    run = Run.open(tmp_path / "bucket", data=DATA)
    assert (run.data, run.catalog, run.shards("test")) == (DATA, f"{DATA}/catalog.parquet", f"{DATA}/shards/test")
    assert run.shards("train", "patches") == tmp_path / "bucket" / "data" / "patches" / "train"
    evaluate_stage("unet", EvalOptions(run=str(tmp_path / "bucket"), workers=0))
    made_by = json.loads((tmp_path / "bucket" / "unet" / "evaluation.json").read_text())["provenance"]
    assert made_by["audit"] == read_verdict(data / "split.json").short() and made_by["audit"]["verdict"] == "clean"
    make_patches(run, "resnet", get_runtime(seed=0), workers=0)
    assert len(open_index(open_store(run.shards("train", "patches")))) >= 4
    with pytest.raises(BadConfig, match=f"--data {DATA}2: the run .* was made with --data {DATA}; leave the flag out"):
        Run.open(tmp_path / "bucket", data=DATA + "2")


def test_train_sh_goes_through_all_stages_on_data_in_a_bucket(data, tmp_path, capsys):
    asked = TrainOptions(run=str(tmp_path / "run"), data=DATA, preset="cpu", it=1, steps_per_it=2, workers=0, no_pretraining=True)
    run_chain(asked)
    said = capsys.readouterr().out
    assert f"{DATA}: 24 images of 24 patients, made before" in said
    run = Run.open(tmp_path / "run")
    assert (run.data, run.settings.pretraining, run.settings.sources) == (DATA, False, ())
    assert json.loads((run.report / "report.json").read_text())["data"] and not (tmp_path / "run" / "phantoms").exists()
    run_chain(replace(asked, data=None, no_pretraining=False))
    said = capsys.readouterr().out
    assert "unet: finished before" in said and "report: made before" in said and "encoder:" not in said
    for flag, more in (("--source", {"source": (f"csv={tmp_path}",)}), ("--accept", {"accept": ("implant",)}), ("--folds", {"folds": 3})):
        with pytest.raises(BadConfig, match=f"{flag}: the data of the run .* are made already"):
            run_chain(replace(asked, data=None, **more))
    assert not (tmp_path / "run" / "phantoms").exists()


@pytest.mark.parametrize(("flag", "more"), [
    ("--source", {"source": ("mias=x",)}), ("--option", {"source_options": ("mias.a=b",)}), ("--folds", {"folds": 3}), ("--key", {"key": "k"}),
    ("--dry-run", {"dry_run": True}),
])  # fmt: skip
def test_train_sh_is_given_data_or_what_they_are_made_of(tmp_path, flag, more):
    with pytest.raises(BadConfig, match=f"{flag}: --data {DATA} is made already"):
        run_chain(TrainOptions(run=str(tmp_path / "run"), data=DATA, **more))
    assert not (tmp_path / "run").exists()


def test_data_of_a_bucket_that_are_not_there_are_told(bucket, data, tmp_path):
    with pytest.raises(BadConfig, match=r"run: no run and no shards here; .*\(or make gs://bucket/other/shards with dataset_"):
        train_stage("unet", replace(UNET, run=str(tmp_path / "run"), data="gs://bucket/other"))
    del bucket.objects.buckets["bucket"]["mine/catalog.parquet"]
    with pytest.raises(BadFile, match="gs://bucket/mine/catalog.parquet: is not there; make it with dataset_enhancement/build_catalog.py"):
        train_stage("unet", replace(UNET, run=str(tmp_path / "run")))


def test_a_split_that_was_made_anew_is_found_in_a_bucket_too(data, tmp_path):
    rows = read_catalog(f"{DATA}/catalog.parquet")
    write_catalog(f"{DATA}/catalog.parquet", [replace(row, split="test" if row.split == "train" else row.split) for row in rows])
    with pytest.raises(BadData, match="gs://bucket/mine/shards/train: .* the split was made anew after the shards"):
        train_stage("unet", replace(UNET, run=str(tmp_path / "run")))


def test_a_catalog_in_a_bucket_is_the_catalog_without_the_places_of_this_machine(data):
    rows = read_catalog(data / "catalog.parquet")
    assert read_catalog(f"{DATA}/catalog.parquet") == rows
    packed = replace(rows[0], path="zip:///data/films.zip/a.dcm")
    write_catalog(f"{DATA}/packed/catalog.parquet", [packed])
    assert read_catalog(f"{DATA}/packed/catalog.parquet") == [replace(packed, path="")]
    inside = [replace(rows[0], path=f"{DATA}/unpacked/a.dcm"), replace(rows[1], path="gs://elsewhere/b.dcm")]
    write_catalog(f"{DATA}/copy/catalog.parquet", rows)
    write_catalog(f"{DATA}/catalog.parquet", inside)
    assert read_catalog(f"{DATA}/copy/catalog.parquet") == [replace(row, path="") for row in rows]
    assert read_catalog(f"{DATA}/catalog.parquet") == inside
    bytes_there = open_store(DATA).read("catalog.parquet")
    open_store("gs://bucket/moved").write("catalog.parquet", bytes_there)
    moved = [row.path for row in read_catalog("gs://bucket/moved/catalog.parquet")]
    assert moved == ["gs://bucket/moved/unpacked/a.dcm", "gs://elsewhere/b.dcm"]


def test_make_shards_writes_to_a_bucket_what_a_folder_would_hold(data, tmp_path, monkeypatch, capsys):
    def make_shards(out, codec="blosc2") -> None:
        arguments = ["make_shards.py", "--catalog", str(data), "--out", str(out), "--preset", "cpu", "--workers", "0", "--codec", codec]
        monkeypatch.setattr("sys.argv", arguments)
        with pytest.raises(SystemExit) as done:
            runpy.run_path(str(ROOT / "dataset_enhancement/make_shards.py"), run_name="__main__")
        assert not done.value.code

    make_shards("gs://bucket/new/shards")
    make_shards(tmp_path / "shards")
    make_shards(tmp_path / "small", "jxl")
    assert open_index(open_store(tmp_path / "small" / "test")).codec == "jxl"
    for split in ("train", "validation", "test"):
        ours, theirs = open_index(open_store(f"gs://bucket/new/shards/{split}")), open_index(open_store(tmp_path / "shards" / split))
        assert ours.data_hash == theirs.data_hash and len(ours) > 0
    assert split_hash(read_catalog("gs://bucket/new/catalog.parquet")) == split_hash(read_catalog(data / "catalog.parquet"))
    assert read_verdict("gs://bucket/new/split.json") == read_verdict(data / "split.json")
    assert read_skipped("gs://bucket/new/shards/skipped.csv") == read_skipped(tmp_path / "shards" / "skipped.csv")
    capsys.readouterr()
    make_shards("gs://bucket/new/shards/")
    assert "made before from the same input" in capsys.readouterr().out
    assert not open_store("gs://bucket/new/shards").exists("catalog.parquet")


@pytest.mark.parametrize("kind", ["lesion", "malignancy"])
def test_make_shards_cuts_patches_into_a_folder_or_a_bucket(data, tmp_path, monkeypatch, capsys, kind):
    for out in (str(tmp_path / "patches"), "gs://bucket/cut/patches"):
        arguments = ["--catalog", str(data), "--out", out, "--patches", kind, "--preset", "cpu", "--workers", "0", "--lanes", "2"]
        monkeypatch.setattr("sys.argv", ["make_shards.py", *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / "dataset_enhancement/make_shards.py"), run_name="__main__")
        assert not ended.value.code, capsys.readouterr().err
    rows = [row for row in read_catalog(data / "catalog.parquet") if row.split == "train"]
    store, index = open_shards(str(tmp_path / "patches" / "train"))
    samples = [read_sample(store, index, number) for number in range(len(index))]
    ones = [row.pathology for row in rows if row.lesions and (kind == "lesion" or row.pathology == "malignant")]
    assert sum(sample.label for sample in samples) == len(ones) and {sample.extra["origin"] for sample in samples} == {"truth", "normal"}
    assert {sample.image.shape for sample in samples} == {(32, 32)}
    _, there = open_shards("gs://bucket/cut/patches/train")
    assert there.data_hash == index.data_hash and split_hash(read_catalog("gs://bucket/cut/catalog.parquet")) == split_hash(
        read_catalog(data / "catalog.parquet")
    )


def test_images_that_lie_in_a_bucket_are_read_from_there(bucket, data, tmp_path):
    rows = [row for row in read_catalog(data / "catalog.parquet") if row.split == "train"][:4]
    there = [replace(row, path=f"gs://bucket/raw/{number}.png") for number, row in enumerate(rows)]
    for number, row in enumerate(rows[:3]):
        bucket.put("bucket", f"raw/{number}.png", Path(row.path).read_bytes())
    bucket.put("bucket", "raw/2.png", b"no image")
    assert read_row(there[0]).facts.source_file == "gs://bucket/raw/0.png"
    report = ingest_images(there, contract_of("cpu"), "gs://bucket/new", workers=0, skip_share=0.6, progress=False)
    told = dict(report.skipped)
    assert "is not there" in told["gs://bucket/raw/3.png"] and set(told) == {"gs://bucket/raw/2.png", "gs://bucket/raw/3.png"}
    store, index = open_shards("gs://bucket/new/train")
    assert [read_sample(store, index, row).image_id for row in range(len(index))] == [row.image_id for row in there[:2]]
