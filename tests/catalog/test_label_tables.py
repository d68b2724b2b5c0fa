"""Label tables: encodings, packing, and wide tables of which a few columns are kept."""

import gzip
import lzma
import tracemalloc

import pytest

from mammolibs.catalog.label_tables import read_columns, read_csv, read_text
from mammolibs.errors import BadFile

TEXT = "id, wörd ,empty\n 1 ,é,\n\n2,x,y\n"
ROWS = [{"id": "1", "wörd": "é", "empty": ""}, {"id": "2", "wörd": "x", "empty": "y"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("ending", ["csv", "csv.gz", "csv.xz"])
def test_a_table_in_any_encoding_and_packing(tmp_path, encoding, ending):
    path = tmp_path / f"a.{ending}"
    path.write_bytes({"csv": bytes, "csv.gz": gzip.compress, "csv.xz": lzma.compress}[ending](TEXT.encode(encoding)))
    assert read_csv(path, ("id",)) == ROWS and read_text(path) == TEXT
    assert read_csv(path, ("id",), also=("empty", "absent")) == [{"id": row["id"], "empty": row["empty"]} for row in ROWS]
    assert read_columns(path) == ("id", "wörd", "empty")


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_separates_columns_is_told_by_the_header(tmp_path, mark, pack):
    path = tmp_path / ("a.csv.gz" if pack is gzip.compress else "a.csv")
    path.write_bytes(pack(f"\n id {mark}word\n\n1{mark}a: x\n2{mark}\n".encode("utf-8-sig")))
    assert read_csv(path, ("id",)) == [{"id": "1", "word": "a: x"}, {"id": "2", "word": ""}]
    assert read_columns(path) == ("id", "word")


@pytest.mark.parametrize("header,columns", [("a;b,c", ("a;b", "c")), ('"a;b"', ("a;b",)), ("a\tb;c;d", ("a\tb", "c", "d")), ("a", ("a",))])
def test_a_mark_in_a_name_separates_no_columns(tmp_path, header, columns):
    (tmp_path / "a.csv").write_text(header)
    assert read_columns(tmp_path / "a.csv") == columns and read_columns(tmp_path / "a.csv", delimiter="|") == (header.strip('"'),)


def test_a_character_of_another_encoding_at_the_end_of_a_long_table(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,word\n" + b"1,plain\n" * 20_000 + "2,\u00e9t\u00e9\n".encode("latin-1"))
    rows = read_csv(path, ("id",))
    assert len(rows) == 20_001 and rows[-1] == {"id": "2", "word": "\u00e9t\u00e9"}


@pytest.mark.parametrize(
    "ending,damage",
    [("gz", b"\x1f\x8b\x08\0garbage garbage"), ("xz", b"\xfd7zXZ\0garbage"), ("gz", gzip.compress(TEXT.encode(), mtime=0)[:-9])],
    ids=["garbage", "garbage, xz", "cut"],
)
def test_a_damaged_package_is_named(tmp_path, ending, damage):
    path = tmp_path / f"a.csv.{ending}"
    path.write_bytes(damage)
    for read in (lambda: read_csv(path, ()), lambda: read_text(path)):
        with pytest.raises(BadFile, match=f"a.csv.{ending}: cannot be read"):
            read()


def test_rows_and_columns_that_are_missing_are_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n3\n")
    with pytest.raises(BadFile, match="has no column c, d"):
        read_csv(path, ("a", "c", "d"))
    with pytest.raises(BadFile, match="row 3 is cut short"):
        read_csv(path, ("a",), also=())
    path.write_text("")
    assert read_csv(path, ()) == [] and read_columns(path) == ()


@pytest.mark.parametrize("rows", ["1,i1,P1,train\n", "i1,P1,train\ni2,a comma, unquoted,P2,train\n"], ids=["row names", "comma"])
def test_a_row_longer_than_the_header_is_refused_and_not_read_shifted(tmp_path, rows):
    path = tmp_path / "a.csv"
    path.write_text(f"image,patient,fold\n{rows}")
    with pytest.raises(BadFile, match=f"row {1 + rows.count(chr(10))} has more cells than the header; name every column"):
        read_csv(path, ("image",))
    path.write_text("image,patient,fold\ni1,P1,train,, \n")
    assert read_csv(path, ()) == [{"image": "i1", "patient": "P1", "fold": "train"}]


def test_a_column_that_is_there_twice_is_refused_where_it_is_asked_for(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id, note,note\n1,2,3\n")
    assert read_csv(path, ("id",), also=()) == [{"id": "1"}]
    for needed, also in ((("note",), None), (("id",), ("note",))):
        with pytest.raises(BadFile, match="has the column note 2 times"):
            read_csv(path, needed, also=also)


def test_of_a_wide_table_only_what_is_kept_takes_memory(tmp_path):
    path = tmp_path / "wide.csv"
    cells = ",".join("x" * 20 for _ in range(200))
    path.write_text(",".join(f"c{n}" for n in range(200)) + "\n" + f"{cells}\n" * 1000)
    tracemalloc.start()
    rows = read_csv(path, ("c3",), also=("c7",))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(rows) == 1000 and rows[0].keys() == {"c3", "c7"} and peak < path.stat().st_size / 4
