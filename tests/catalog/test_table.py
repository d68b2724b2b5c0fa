"""The table on disk: nothing is lost, a run's folder can be moved, other files are refused; hashes."""

import dataclasses
import shutil

import pytest

from mammolibs.catalog import data_hash, read_catalog, split_hash, write_catalog
from mammolibs.catalog.hashes import as_values
from mammolibs.errors import BadFile
from mammolibs.records import ImageRow, Lesion, Outline
from tests.catalog.trees import row

LESIONS = (
    Lesion(lesion_id="a", kind="mass", pathology="malignant", outline=Outline(shape="mask", path="/masks/ä 1.png")),
    Lesion(lesion_id="b", outline=Outline(shape="polygon", points=((1.5, 2.25), (3.0, 4.0), (0.1, 1e-9)))),
    Lesion(lesion_id="c", kind="calcification", outline=Outline(shape="circle", points=((7, 8),), radius_px=3.3), slice=12),
    Lesion(lesion_id="d", pathology="benign"),
)
FULL = ImageRow(
    image_id="s-1", source="s", patient_id="s/1", exam_id="s/1a", path="/data/ö, \"x\".dcm", frame=3, laterality="L", view="MLO",
    pathology="malignant", truth="biopsy", birads="4a", density="C", technology="film", lesions=LESIONS, split="test", official_split="train",
    parent_id="s-0", chest_wall="left", maker="ACME\nInc", spacing_mm=0.0701234567890123, bits=14, age_years=61, licence="CC BY",
)  # fmt: skip


def test_every_field_survives(tmp_path):
    rows = [FULL, row("p2"), row("p3", lesions=LESIONS[:1])]
    assert not [f.name for f in dataclasses.fields(ImageRow) if f.name not in ("path",) and getattr(FULL, f.name) == f.default]
    write_catalog(tmp_path / "catalog.parquet", rows)
    assert read_catalog(tmp_path / "catalog.parquet") == rows
    assert [as_values(one) for one in rows] == [dataclasses.asdict(one) for one in rows]


def test_an_empty_catalog_survives(tmp_path):
    write_catalog(tmp_path / "c.parquet", [])
    assert read_catalog(tmp_path / "c.parquet") == []


def test_any_tool_can_read_it(tmp_path):
    import pyarrow.parquet as pq

    write_catalog(tmp_path / "c.parquet", [FULL])
    table = pq.read_table(tmp_path / "c.parquet")
    assert set(table.column_names) == {f.name for f in dataclasses.fields(ImageRow)}
    assert table.schema.metadata[b"mammolibs.split_hash"].decode() == split_hash([FULL])
    assert pq.ParquetFile(tmp_path / "c.parquet").metadata.row_group(0).column(0).compression == "ZSTD"


def test_files_below_the_table_move_with_it(tmp_path):
    old, new = tmp_path / "run" / "data", tmp_path / "moved"
    inside = row("p1").__class__(**{f.name: getattr(FULL, f.name) for f in dataclasses.fields(FULL)} | {
        "path": str(old / "unpacked" / "a.pgm"),
        "lesions": (Lesion(lesion_id="m", outline=Outline(shape="mask", path=str(old / "unpacked" / "m.png"))),),
    })  # fmt: skip
    write_catalog(old / "catalog.parquet", [inside, FULL])
    shutil.move(tmp_path / "run" / "data", new)
    first, second = read_catalog(new / "catalog.parquet")
    assert first.path == str(new / "unpacked" / "a.pgm") and first.lesions[0].outline.path == str(new / "unpacked" / "m.png")
    assert second == FULL


def test_what_is_no_catalog_is_named(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pytest.raises(BadFile, match="is not there"):
        read_catalog(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(BadFile, match="is no catalog"):
        read_catalog(tmp_path / "text.parquet")
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    with pytest.raises(BadFile, match="of this version"):
        read_catalog(tmp_path / "other.parquet")


def test_an_older_table_without_a_newer_field_is_read(tmp_path):
    import pyarrow.parquet as pq

    write_catalog(tmp_path / "c.parquet", [FULL])
    table = pq.read_table(tmp_path / "c.parquet").drop_columns(["licence"])
    pq.write_table(table.replace_schema_metadata(None), tmp_path / "old.parquet")
    assert read_catalog(tmp_path / "old.parquet") == [dataclasses.replace(FULL, licence="")]


@pytest.mark.parametrize("damage", ["flipped", "cut"])
def test_a_table_that_was_damaged_anywhere_gives_the_same_rows_or_none(tmp_path, damage):
    path, rows = tmp_path / "catalog.parquet", [FULL, *(row(f"p{number}", lesions=LESIONS[:1]) for number in range(40))]
    write_catalog(path, rows)
    good = path.read_bytes()
    refused = 0
    for place in range(0, len(good), len(good) // 60):
        path.write_bytes(good[:place] + (bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :] if damage == "flipped" else b""))
        try:
            assert read_catalog(path) == rows, place
        except BadFile as error:
            assert str(path) in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 30


def test_a_table_that_was_edited_is_refused_where_it_says_what_it_held(tmp_path):
    import pyarrow.parquet as pq

    path = tmp_path / "catalog.parquet"
    write_catalog(path, [FULL])
    table = pq.read_table(path)
    renamed = table.rename_columns(["densitz" if name == "density" else name for name in table.column_names])
    pq.write_table(renamed.replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(BadFile, match="catalog.parquet: does not match its checksum: it was damaged or edited; make it with"):
        read_catalog(path)


def test_hashes_change_with_what_they_name_and_with_nothing_else():
    rows = [FULL, row("p2", split="train")]
    moved = [dataclasses.replace(rows[1], path="/other/p2-1.png"), rows[0]]
    assert data_hash(rows) == data_hash(moved) and split_hash(rows) == split_hash(moved)
    other_split = [rows[0], dataclasses.replace(rows[1], split="test")]
    assert data_hash(rows) == data_hash(other_split) and split_hash(rows) != split_hash(other_split)
    changes = {"pathology": "benign", "spacing_mm": 0.2, "patient_id": "s/2", "lesions": LESIONS[:2], "path": "/data/b.dcm"}
    hashes = {data_hash([dataclasses.replace(FULL, **{key: value}), rows[1]]) for key, value in changes.items()}
    assert len(hashes | {data_hash(rows)}) == len(changes) + 1
