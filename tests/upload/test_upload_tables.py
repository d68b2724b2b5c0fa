"""Label tables on their way to a bucket: the named columns, by the pseudonyms of the images."""

from __future__ import annotations

import csv
import io

import pytest

from mammolibs.errors import BadConfig, BadFile
from mammolibs.imaging import open_key
from scripts import upload
from tests.upload.conftest import objects, skipped

LABELS = (
    "path,id,taken,who read it,result\n{0},ZQ11111111,2019-03-04,Dr ZQ22222222,malignant\nZQ33333333.dcm,ZQ11111111,2019-03-04,x,benign\n"
)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_goes_with_the_same_pseudonyms_as_its_images(server, folder, run, tmp_path, separator):
    (folder / "labels.csv").write_text(LABELS.format("./ZQ00000001\\ZQ44444444.dcm").replace(",", separator))
    table = ("--tables", "labels.csv:path=file,id=patient,taken=date,result=keep")
    run(folder, "--key", str(tmp_path / "my.key"), *table)
    (name,) = [name for name in objects(server) if name.startswith("table-")]
    header, *rows = csv.reader(io.StringIO(objects(server)[name].data.decode()))
    key = open_key(tmp_path / "my.key")
    assert header == ["path", "id", "taken", "result"] and len(rows) == 1
    assert rows[0][0] in objects(server)
    assert rows[0][1:] == [key.text("patient", "ZQ11111111"), key.date("ZQ11111111", "20190304"), "malignant"]
    assert skipped(tmp_path)["labels.csv line 3"] == "names a file that was not brought over"


@pytest.mark.parametrize(("columns", "said"), [
    ("", "write FILE:COLUMN=KIND"), (":id=patient", "write FILE:COLUMN=KIND"), ("labels.csv:id=person", "with kinds patient"),
    ("labels.csv:taken=date", "name the patient column too"), ("labels.csv:a=patient,b=patient", "patient once"),
])  # fmt: skip
def test_a_table_that_is_told_wrongly_is_refused(columns, said):
    with pytest.raises(BadConfig, match=said):
        upload.parse_table(columns)


def test_a_table_without_a_column_stops_the_upload_before_it_begins(server, folder, run, tmp_path):
    (folder / "labels.csv").write_text("id\nP1\n")
    with pytest.raises(BadFile, match="labels.csv: has no column name; it has id"):
        run(folder, "--key", str(tmp_path / "my.key"), "--tables", "labels.csv:name=patient")
    assert server.counts["write"] == 0


def test_a_table_is_named_from_anywhere_but_lies_in_the_folder(server, folder, run, tmp_path):
    for place in (folder, tmp_path):
        (place / "labels.csv").write_text("id\nP1\n")
    with pytest.raises(BadFile, match="labels.csv: does not lie in"):
        run(folder, "--key", str(tmp_path / "my.key"), "--tables", f"{tmp_path / 'labels.csv'}:id=patient")
    assert server.counts["write"] == 0
    run(folder, "--key", str(tmp_path / "my.key"), "--tables", f"{folder / 'labels.csv'}:id=patient")
    named = [name for name in objects(server) if name.startswith("table-")]
    run(folder, "--key", str(tmp_path / "my.key"), "--tables", "labels.csv:id=patient")
    assert [name for name in objects(server) if name.startswith("table-")] == named and len(named) == 1


def test_a_table_with_a_date_that_is_none_is_left_out_and_told(server, folder, run, tmp_path):
    (folder / "labels.csv").write_text("id,taken\nP1,last May\n")
    assert "1 skipped" in run(folder, "--key", str(tmp_path / "my.key"), "--tables", "labels.csv:id=patient,taken=date")
    assert "line 2 has a date" in skipped(tmp_path)["labels.csv"] and "last May" not in skipped(tmp_path)["labels.csv"]
