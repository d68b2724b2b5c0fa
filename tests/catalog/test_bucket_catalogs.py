"""Catalogs in a bucket: built there by one of several writers, audited, made shards of, looked at."""

from __future__ import annotations

import io
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mammolibs.catalog import Thumbnails, make_catalog, read_catalog, read_skipped, read_split, read_verdict
from mammolibs.errors import BadConfig
from mammolibs.imaging import open_key
from mammolibs.shards import open_index
from mammolibs.storage import ChangedByAnother, open_store
from tests.catalog.conftest import make_dicom_folder, make_mias
from tests.catalog.test_bucket_sources import ADDRESS, build, put

ROOT = Path(__file__).resolve().parents[2]


def test_a_catalog_is_built_into_a_bucket_and_its_split_is_kept(bucket, tmp_path):
    make_mias(tmp_path / "tree")
    put(bucket, tmp_path / "tree")
    out = "gs://bucket/mine"
    first = make_catalog([("mias", ADDRESS)], out)
    assert read_catalog(f"{out}/catalog.parquet") == first.rows
    make_dicom_folder(tmp_path / "plain")
    (tmp_path / "plain" / "broken.dcm").write_text("a text file")
    put(bucket, tmp_path / "plain", "raw/plain")
    both = [("mias", ADDRESS), ("dicom_folder", "gs://bucket/raw/plain")]
    with pytest.raises(BadConfig, match="no bucket gets the key of your patients' pseudonyms; give --key FILE"):
        make_catalog(both, out)
    more = make_catalog(both, f"{out}/", key=tmp_path / "my.key")
    kept = {row.patient_id: row.split for row in first.rows}
    assert kept.items() <= read_split(f"{out}/split.json", seed=0).items() == {row.patient_id: row.split for row in more.rows}.items()
    assert [(s.source, s.item) for s in read_skipped(f"{out}/skipped.csv")] == [("dicom_folder", "gs://bucket/raw/plain/broken.dcm")]
    made = {name for name in bucket.objects.buckets["bucket"] if name.startswith("mine/")}
    assert made == {"mine/catalog.parquet", "mine/split.json", "mine/skipped.csv"}
    open_key(tmp_path / "other.key")
    with pytest.raises(BadConfig, match="was made with another key"):
        make_catalog(both, out, key=tmp_path / "other.key")


def run(script: str, monkeypatch, *flags: str) -> int:
    monkeypatch.setattr("sys.argv", [script, *flags])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(str(ROOT / "dataset_enhancement" / f"{script}.py"), run_name="__main__")
    return done.value.code or 0


def put_films(bucket, patients: int) -> None:
    """Two drawn films of each patient, and the table that lists them."""
    y, x = np.mgrid[:240, :200]
    shape = (x / 150) ** 2 + ((y - 120) / 100) ** 2 < 1
    lines = ["path,patient,laterality,view,pathology"]
    for number in range(2 * patients):
        noise = np.random.default_rng(number).integers(90, 230, (60, 50)).repeat(4, 0).repeat(4, 1)
        data = io.BytesIO()
        Image.fromarray(np.where(shape, noise, 4).astype(np.uint8)).save(data, "png")
        bucket.put("bucket", f"raw/set/films/{number}.png", data.getvalue())
        lines.append(f"films/{number}.png,{number // 2},L,CC,normal")
    bucket.put("bucket", "raw/set/labels.csv", "\n".join(lines).encode())


def test_the_scripts_build_audit_and_make_shards_from_bucket_to_bucket(bucket, monkeypatch, capsys, tmp_path):
    put_films(bucket, 6)
    out = "gs://bucket/mine"
    assert run("build_catalog", monkeypatch, "--source", f"csv={ADDRESS}/labels.csv", "--out", out, "--key", str(tmp_path / "my.key")) == 0
    assert capsys.readouterr().out.startswith("catalog: 12 images, 6 patients")
    assert run("audit_split", monkeypatch, "--catalog", out, "--no-pixels") == 0
    assert f"kept in {out}/split.json" in capsys.readouterr().out and read_verdict(f"{out}/split.json").clean
    for flags in ((), ("--out", "gs://bucket/other/shards")):
        assert run("make_shards", monkeypatch, "--catalog", out, *flags, "--canvas", "64x48", "--workers", "0", "--preset", "cpu") == 0
    for place in ("mine", "other"):
        sets = [open_index(open_store(f"gs://bucket/{place}/shards/{split}")) for split in ("train", "validation", "test")]
        assert sum(map(len, sets)) == 12
    assert read_split("gs://bucket/other/split.json", seed=0) == read_split(f"{out}/split.json", seed=0)
    assert read_verdict("gs://bucket/other/split.json") == read_verdict(f"{out}/split.json")


def test_pictures_of_images_in_a_bucket_are_made_once_and_again_where_the_image_has_changed(bucket, tmp_path):
    put_films(bucket, 1)
    rows = build("csv", f"{ADDRESS}/labels.csv", tmp_path).rows
    films = [bucket.objects.buckets["bucket"][f"raw/set/films/{number}.png"].data for number in (0, 1)]

    def read() -> tuple[list, int]:
        bucket.counts.clear()
        answers = [answer for _, answer in Thumbnails(tmp_path / "pictures").read(rows)]
        return answers, bucket.counts["read"]

    (first, second), reads = read()
    assert reads == 2 and first.shape == second.shape == (256, 213) and (first != second).any()
    assert read()[1] == 0
    bucket.put("bucket", "raw/set/films/0.png", films[1])
    changed, reads = read()
    assert reads == 1 and (changed[0] == second).all()
    del bucket.objects.buckets["bucket"]["raw/set/films/1.png"]
    assert str(read()[0][1]) == f"{ADDRESS}/films/1.png: is not there; restore it, or build the catalog again"


def test_of_two_that_build_a_catalog_into_a_bucket_the_later_to_finish_is_told(bucket, tmp_path, monkeypatch):
    make_mias(tmp_path / "tree")
    make_dicom_folder(tmp_path / "plain")
    out = "gs://bucket/mine"
    from mammolibs.catalog import make

    really = make.build_catalog

    def meanwhile(sources, **how):
        monkeypatch.setattr(make, "build_catalog", really)
        make_catalog([("dicom_folder", tmp_path / "plain")], out, key=tmp_path / "my.key")
        return really(sources, **how)

    monkeypatch.setattr(make, "build_catalog", meanwhile)
    with pytest.raises(ChangedByAnother, match="gs://bucket/mine/catalog.parquet: another writer has changed it"):
        make_catalog([("mias", tmp_path / "tree")], out)
    rows = read_catalog(f"{out}/catalog.parquet")
    assert {row.source for row in rows} == {"dicom_folder"}
    assert read_split(f"{out}/split.json", seed=0) == {row.patient_id: row.split for row in rows}
