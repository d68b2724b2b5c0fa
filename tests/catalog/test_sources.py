"""What every source keeps, whatever its data set."""

import shutil
from pathlib import Path

import pytest

from mammolibs.catalog import SOURCES, build_catalog
from mammolibs.catalog.source import ANY
from mammolibs.errors import BadConfig, BadData, BadFile, MammolibsError
from mammolibs.imaging import Pseudonyms
from mammolibs.records.acceptance import CODES
from tests.catalog.conftest import MAKERS


def images(root):
    return sorted(p for p in root.rglob("*") if p.suffix in (".dcm", ".dicom", ".png", ".pgm", ".jpg") and "mask" not in p.as_posix())


def test_every_source_has_a_tree():
    assert set(MAKERS) == set(SOURCES)


def test_rows_are_named_after_their_source_and_point_at_files(source_name, source_tree):
    result = SOURCES[source_name](source_tree)
    assert len(result.rows) >= 2 and result.absent == 0
    assert not [item for item in result.skipped if not item.on_purpose]
    assert len({row.image_id for row in result.rows}) == len(result.rows)
    for row in result.rows:
        assert row.source == source_name
        assert row.image_id.startswith(f"{source_name}-") and "/" not in row.image_id and "." not in row.image_id
        assert row.patient_id.startswith(f"{source_name}/") and row.exam_id.startswith(f"{source_name}/")
        assert Path(row.path).is_absolute() and Path(row.path).is_file()
        assert row.split == "" and row.bits in (8, 10, 12, 16)
        assert row.pathology in ("benign", "malignant") if row.lesions else True
        for lesion in row.lesions:
            assert lesion.lesion_id.startswith(source_name)
            assert lesion.outline.path is None or Path(lesion.outline.path).is_file()


def test_ids_survive_a_move_and_a_second_reading(source_name, source_tree, tmp_path):
    first = SOURCES[source_name](source_tree).rows
    assert SOURCES[source_name](source_tree).rows == first
    moved = Path(shutil.move(source_tree, tmp_path / "elsewhere"))
    again = SOURCES[source_name](moved).rows
    assert [(r.image_id, r.patient_id) for r in again] == [(r.image_id, r.patient_id) for r in first]


def test_pixels_are_not_touched(source_name, source_tree):
    first = SOURCES[source_name](source_tree).rows
    for path in images(source_tree):
        data = path.read_bytes()
        # A JPEG keeps its end mark, since its absence is a fact of the header's reading.
        path.write_bytes(data[:-4] + b"\0\0" + data[-2:] if path.suffix == ".jpg" else data[:-3])
    assert SOURCES[source_name](source_tree).rows == first


def test_a_broken_image_is_skipped_with_its_reason(source_name, source_tree):
    rows = SOURCES[source_name](source_tree).rows
    Path(rows[0].path).write_bytes(b"no image at all")
    result = SOURCES[source_name](source_tree)
    assert len(result.rows) == len(rows) - 1
    [item] = [item for item in result.skipped if not item.on_purpose]
    assert item.item == rows[0].path and item.reason


@pytest.mark.parametrize("name", SOURCES)
def test_an_empty_or_missing_or_foreign_folder_is_named(name, tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(BadFile, match=str(folder)):
            SOURCES[name](folder)
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(BadFile, match="holds no"):
        SOURCES[name](tmp_path)


def test_half_of_the_files_gone_leaves_the_rest_as_it_was(source_name, source_tree):
    """What is gone is absent or skipped, never a row; what is left keeps its label, or has none where the label stood in what is gone."""
    whole = SOURCES[source_name](source_tree)
    before = {row.image_id: row for row in whole.rows}
    gone = {row.path for row in whole.rows[::2]}
    for path in gone:
        Path(path).unlink()
    after = SOURCES[source_name](source_tree)
    left = {row.image_id: row for row in after.rows}
    assert left.keys() <= before.keys() and not gone & {row.path for row in after.rows}
    for image_id, row in left.items():
        assert row.pathology in (before[image_id].pathology, "unknown") and row.patient_id == before[image_id].patient_id


def test_everything_broken_is_an_error(source_name, source_tree, tmp_path):
    for path in images(source_tree):
        path.write_bytes(b"no image at all")
    with pytest.raises(MammolibsError, match="cannot be used|holds no"):
        build_catalog([(source_name, source_tree)], unpack_folder=tmp_path / "unpacked")


def test_an_archive_is_read_like_its_folder(source_name, source_tree, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", source_tree)
    key = Pseudonyms.fresh()
    packed = build_catalog([(source_name, archive)], unpack_folder=tmp_path / "unpacked", pseudonyms=key).rows
    plain = build_catalog([(source_name, source_tree)], unpack_folder=tmp_path / "unpacked", pseudonyms=key).rows
    assert [(r.image_id, r.split, r.pathology, r.lesions and r.lesions[0].kind) for r in packed] == [
        (r.image_id, r.split, r.pathology, r.lesions and r.lesions[0].kind) for r in plain
    ]
    assert all(row.path.startswith(f"zip://{archive}/") for row in packed) and not (tmp_path / "unpacked").exists()


def test_what_is_in_the_nature_of_a_source_is_a_code_and_is_told(source_name, source_tree):
    source = SOURCES[source_name]
    assert set(source.accepts) <= set(CODES)
    told = [note for note in source(source_tree).notes if "in spite of" in note]
    assert told == ([f"its images are taken in spite of {', '.join(source.accepts)}, by the nature of this set"] if source.accepts else [])


def test_options_are_checked(source_name, source_tree):
    with pytest.raises(BadConfig, match="no such option"):
        SOURCES[source_name](source_tree, {"colour": "red"})
    for option, allowed in SOURCES[source_name].options.items():
        if ANY not in allowed:
            with pytest.raises(BadConfig, match="choose one of"):
                SOURCES[source_name](source_tree, {option: "red"})


def test_the_same_data_set_twice_names_both_files(source_name, source_tree, tmp_path):
    copy = shutil.copytree(source_tree, tmp_path / "copy")
    with pytest.raises(BadData, match="twice: .*tree.* and .*copy"):
        build_catalog([(source_name, source_tree), (source_name, copy)], unpack_folder=tmp_path / "unpacked")
