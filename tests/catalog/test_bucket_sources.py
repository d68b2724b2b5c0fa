"""Sources in a bucket: the rows of a folder, by names, label files and headers alone; what fails, what is fetched again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mammolibs.catalog import build_catalog
from mammolibs.errors import BadFile, RuntimeUnavailable
from mammolibs.imaging import Pseudonyms
from mammolibs.pipeline.data import named_sources
from mammolibs.pipeline.options import TrainOptions
from mammolibs.storage import gcs
from tests.catalog.conftest import MAKERS, make_cbis, make_mias, make_omi
from tests.catalog.trees import write_dicom

ADDRESS = "gs://bucket/raw/set"
KEY = Pseudonyms(b"a key of 32 bytes for the tests.")


def put(bucket, root: Path, prefix: str = "raw/set") -> None:
    for path in sorted(root.rglob("*")):
        if path.is_file():
            bucket.put("bucket", f"{prefix}/{path.relative_to(root).as_posix()}", path.read_bytes())


def build(name, path, tmp_path, **options):
    return build_catalog([(name, path)], unpack_folder=tmp_path / "unpacked", pseudonyms=KEY, **options)


def told(rows, root):
    """Rows without the place of their files."""
    return json.loads(json.dumps([row.__dict__ for row in rows], default=lambda value: value.__dict__).replace(str(root), "ROOT"))


def test_every_source_gives_in_a_bucket_the_rows_of_its_folder(bucket, source_name, source_tree, tmp_path):
    put(bucket, source_tree)
    bucket.put("bucket", "raw/set/", b"")
    bucket.put("bucket", "raw/set/some folder/", b"")
    here, there = build(source_name, source_tree, tmp_path), build(source_name, ADDRESS, tmp_path)
    assert told(there.rows, ADDRESS) == told(here.rows, source_tree)
    assert all(row.path.startswith(f"{ADDRESS}/") for row in there.rows)
    assert (there.absent, there.notes) == (here.absent, here.notes)
    assert {s.item.removeprefix(ADDRESS) for s in there.skipped} == {s.item.removeprefix(str(source_tree)) for s in here.skipped}


def test_of_a_bucket_only_what_has_changed_is_fetched_again(bucket, tmp_path):
    make_cbis(tmp_path / "tree")
    write_dicom(tmp_path / "tree" / "unlisted" / "big.dcm", 300, 400)
    put(bucket, tmp_path / "tree")
    tables, images = 4, 6
    first = build("cbis_ddsm", ADDRESS, tmp_path)
    # One listing, the tables, the images and masks that the tables name: no image that no table knows.
    assert bucket.counts == {"list": 1, "read": tables + images}
    bucket.counts.clear()
    assert build("cbis_ddsm", ADDRESS, tmp_path).rows == first.rows
    assert bucket.counts == {"list": 1}
    changed = first.rows[0].path.removeprefix("gs://bucket/")
    write_dicom(tmp_path / "new.dcm", 60, 40, Manufacturer="ACME")
    bucket.put("bucket", changed, (tmp_path / "new.dcm").read_bytes())
    del bucket.objects.buckets["bucket"][first.rows[1].path.removeprefix("gs://bucket/")]
    bucket.counts.clear()
    again = build("cbis_ddsm", ADDRESS, tmp_path)
    assert bucket.counts == {"list": 1, "read": 1}
    assert [row.maker for row in again.rows] == ["ACME"] and again.absent["cbis_ddsm"] == 1


def test_of_an_image_in_a_bucket_only_the_header_is_fetched_and_kept(bucket, tmp_path, monkeypatch):
    lengths = []
    really = gcs.GcsStore.read

    def read(self, name, start=0, length=None):
        lengths.append(length)
        return really(self, name, start, length)

    monkeypatch.setattr(gcs.GcsStore, "read", read)
    folder = tmp_path / "tree"
    write_dicom(folder / "a.dcm", 1000, 1000, PatientID="1", StudyInstanceUID="1.2.1")
    write_dicom(folder / "long.dcm", 1000, 1000, PatientID="2", StudyInstanceUID="1.2.2", TextValue="x" * 60_000)
    folder.joinpath("1.2.3.4").write_bytes((folder / "a.dcm").read_bytes().replace(b"1.2.1\0", b"1.2.9\0"))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (1200, 900), np.uint8)).save(folder / "b.tif")
    (folder / "manual.pdf").write_bytes(bytes(2_000_000))
    put(bucket, folder)
    here, there = build("dicom_folder", folder, tmp_path), build("dicom_folder", ADDRESS, tmp_path)
    assert told(there.rows, ADDRESS) == told(here.rows, folder) and len(there.rows) == 3
    assert max(length for length in lengths if length) == 256 << 10 and lengths.count(None) <= 1
    kept = [path for path in (tmp_path / "cache").rglob("*.dcm")]
    assert len(kept) == 2 and all(path.stat().st_size > 2_000_000 and path.stat().st_blocks * 512 < 100_000 for path in kept)


def test_objects_of_a_bucket_that_cannot_be_read_are_skipped_with_their_reason(bucket, tmp_path, monkeypatch):
    make_omi(tmp_path / "tree")
    put(bucket, tmp_path / "tree")
    here = build("omi_db", tmp_path / "tree", tmp_path)
    lost = here.rows[0].path.replace(str(tmp_path / "tree"), ADDRESS)
    bucket.put("bucket", lost.removeprefix("gs://bucket/") + "/under", b"x")
    really = gcs.GcsStore.read

    def read(self, name, start=0, length=None):
        if lost.endswith(name):
            raise BadFile(lost, "may not be read (no right)", "ask")
        return really(self, name, start, length)

    monkeypatch.setattr(gcs.GcsStore, "read", read)
    there = build("omi_db", ADDRESS, tmp_path)
    assert told(there.rows, ADDRESS) == told(here.rows[1:], tmp_path / "tree")
    reasons = {s.item: s.reason for s in there.skipped}
    assert reasons[lost] == "may not be read (no right)" and "has a name that" in reasons[f"{lost}/under"]


@pytest.mark.parametrize("ending", [".csv", ".json"])
def test_a_table_of_a_bucket_that_cannot_be_read_is_an_error_and_a_file_of_few_images_costs_those(bucket, tmp_path, monkeypatch, ending):
    make_omi(tmp_path / "tree")
    (tmp_path / "tree" / "labels.csv").write_text("a,b\n")
    put(bucket, tmp_path / "tree")
    really = gcs.GcsStore.read

    def read(self, name, start=0, length=None):
        if name in ("labels.csv", "image_db/sharing/omi-db/data/optm1/imagedb_optm1.json") and name.endswith(ending):
            raise BadFile(f"{ADDRESS}/{name}", "may not be read (no right)", "ask")
        return really(self, name, start, length)

    monkeypatch.setattr(gcs.GcsStore, "read", read)
    if ending == ".csv":
        with pytest.raises(BadFile, match=f"{ADDRESS}/labels.csv: may not be read"):
            build("omi_db", ADDRESS, tmp_path)
    else:
        there = build("omi_db", ADDRESS, tmp_path)
        assert {row.patient_id for row in there.rows} == {"omi_db/demd2"}
        lost = f"{ADDRESS}/image_db/sharing/omi-db/data/optm1/imagedb_optm1.json"
        assert [(s.item, s.reason) for s in there.skipped] == [(lost, "may not be read (no right)")]


def test_a_bucket_that_does_not_answer_and_a_disk_that_is_full_end_the_build(bucket, tmp_path, monkeypatch):
    make_mias(tmp_path / "tree")
    put(bucket, tmp_path / "tree")
    bucket.plant("403", on="list")
    with pytest.raises(BadFile, match=f"{ADDRESS}: may not be listed"):
        build("mias", ADDRESS, tmp_path)
    bucket.plant("401", on="read", times=9)
    with pytest.raises(RuntimeUnavailable, match="no valid credentials"):
        build("mias", ADDRESS, tmp_path)
    bucket._faults.clear()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(BadFile, match="cannot be written .No space left on device.; free some .*another folder in MAMMOLIBS_CACHE"):
        build("mias", ADDRESS, tmp_path)


@pytest.mark.parametrize("fault", ["503", "reset", "truncated"])
def test_passing_faults_of_a_bucket_are_passed_over(bucket, tmp_path, fault, monkeypatch):
    monkeypatch.setattr(gcs.GcsStore.__init__, "__kwdefaults__", {**gcs.GcsStore.__init__.__kwdefaults__, "first_wait": 0.001})
    make_mias(tmp_path / "tree")
    put(bucket, tmp_path / "tree")
    for _ in range(3):
        bucket.plant(fault, on="read")
        bucket.plant("", on="read")
    there = build("mias", ADDRESS, tmp_path)
    assert told(there.rows, ADDRESS) == told(build("mias", tmp_path / "tree", tmp_path).rows, tmp_path / "tree") and not there.skipped


def test_errors_about_a_bucket_name_its_addresses(bucket, tmp_path):
    with pytest.raises(BadFile, match=f"{ADDRESS}: holds no object"):
        build("mias", ADDRESS, tmp_path)
    make_mias(tmp_path / "tree")
    put(bucket, tmp_path / "tree")
    with pytest.raises(BadFile, match=f"^{ADDRESS}: holds no DataWMask.xlsx"):
        build("mini_ddsm", ADDRESS, tmp_path)
    bucket.put("bucket", "raw/set/Info.txt", b"mdb001 Q CIRC B 535 425 197\n")
    with pytest.raises(BadFile, match=f"^{ADDRESS}/Info.txt: has a row that cannot be read"):
        build("mias", ADDRESS, tmp_path)


def test_an_archive_in_a_bucket_is_fetched_once_and_unpacked(bucket, tmp_path):
    make_mias(tmp_path / "tree")
    archive = Path(shutil.make_archive(str(tmp_path / "all-mias"), "gztar", tmp_path / "tree"))
    bucket.put("bucket", "raw/all-mias.tar.gz", archive.read_bytes())
    bucket.put("bucket", "raw/all-mias.tar.gz.md5", b"x")
    first = build("mias", "gs://bucket/raw/all-mias.tar.gz", tmp_path)
    assert [row.image_id for row in first.rows] == [row.image_id for row in build("mias", tmp_path / "tree", tmp_path).rows]
    assert build("mias", "gs://bucket/raw/all-mias.tar.gz", tmp_path).rows == first.rows
    assert bucket.counts == {"list": 2, "read": 1}
    with pytest.raises(BadFile, match="gs://bucket/raw/none.zip: is not there"):
        build("mias", "gs://bucket/raw/none.zip", tmp_path)


def test_a_table_of_a_bucket_is_given_in_place_of_its_folder(bucket, tmp_path):
    MAKERS["csv"](tmp_path / "tree")
    shutil.copy(tmp_path / "tree" / "labels.csv", tmp_path / "tree" / "other.csv")
    put(bucket, tmp_path / "tree")
    rows = build("csv", f"{ADDRESS}/labels.csv", tmp_path).rows
    assert told(rows, ADDRESS) == told(build("csv", tmp_path / "tree" / "labels.csv", tmp_path).rows, tmp_path / "tree") and len(rows) == 3


def test_a_run_takes_a_source_in_a_bucket():
    assert named_sources(TrainOptions(source=(f"mias={ADDRESS}",))) == [("mias", ADDRESS)]
