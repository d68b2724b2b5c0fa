"""The page of a catalog or of shards: its counts are theirs, it names nobody, and what is broken is shown as broken."""

import re
import runpy
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammolibs.catalog import Skipped, make_catalog, read_catalog, write_catalog, write_skipped
from mammolibs.catalog.nameless import anonymous
from mammolibs.errors import BadConfig, BadFile
from mammolibs.evaluate.charts import Bar, Chart, Charts, charts_html, charts_markdown
from mammolibs.evaluate.contact_sheet import film_strip
from mammolibs.evaluate.examples import Example
from mammolibs.ingest import ingest_images
from mammolibs.phantom import make_phantoms
from mammolibs.pipeline.browse import browse, choose
from mammolibs.pipeline.browse_charts import binned, distributions, round_step
from mammolibs.pipeline.browse_data import _row_of
from mammolibs.pipeline.browse_views import LEVELS, view_row, view_sample
from mammolibs.prepare import Contract, prepare_image
from mammolibs.records import ImageFacts, ImageRow, Mammogram
from mammolibs.storage import open_store
from tests.storage.gcs_server import GcsServer

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "browse.py"
CONTRACT = Contract(canvas_height_px=128, canvas_width_px=80)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A catalog of phantoms with two items left out, its shards, and the rows; nothing is broken."""
    folder = tmp_path_factory.mktemp("browse")
    make_phantoms(folder / "phantoms", exams=2, rows=512, seed=5, workers=1, progress=False)
    rows = make_catalog([("phantom", folder / "phantoms")], folder / "data").rows
    cut = f"{folder}/jane_doe/x.dcm"
    left = [Skipped(cut, f"{cut} is cut short", "phantom"), Skipped("raw.dcm", "FOR PROCESSING twin", "phantom", True)]
    write_skipped(folder / "data" / "skipped.csv", left)
    ingest_images(rows, CONTRACT, folder / "data" / "shards", lanes=2, skip_share=1.0, progress=False)
    return folder, rows


@pytest.fixture
def copy(made, tmp_path):
    """The same in a folder that a test may change, its catalog naming the files of the copy."""
    folder, rows = made
    shutil.copytree(folder, tmp_path / "all")
    moved = [replace(row, path=row.path.replace(str(folder), str(tmp_path / "all"))) for row in rows]
    write_catalog(tmp_path / "all" / "data" / "catalog.parquet", moved)
    return tmp_path / "all", moved


def table(page, first):
    """The body of the table whose first head is `first`, as lists of words."""
    found = next(part for part in re.findall(r"<table><thead>.*?</table>", page) if f"<tr><th>{first}</th>" in part)
    return [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(<td>.*?)</tr>", found)]


def bars(page, title):
    """The chart of that title: label -> what stands beside its bar."""
    chart = re.search(rf"<h3>{title}</h3><table>(.*?)</table>", page)[1]
    return dict(re.findall(r"<tr><th>(.*?)</th>.*?<td title=\"[^\"]*\">(.*?)</td></tr>", chart))


def counted(values):
    return {str(value): f"{count:,}" for value, count in Counter(values).items()}


def test_the_counts_of_the_page_are_those_of_the_catalog(made, tmp_path):
    folder, rows = made
    report = browse(folder / "data", tmp_path / "page.html", images=5)
    page = (tmp_path / "page.html").read_text()
    assert (report.images, report.read, report.broken) == (len(rows), 5, ())
    for split, patients, ill, images, *_ in table(page, "split"):
        part = [row for row in rows if row.split == split]
        expected = len({r.patient_id for r in part}), len({r.patient_id for r in part if r.pathology == "malignant"}), len(part)
        assert (int(patients), int(ill), int(images)) == expected
    whole = table(page, "source")[-1]
    assert whole[2:4] == [str(len(rows)), str(len({r.patient_id for r in rows}))] and whole[-2] == str(sum(len(r.lesions) for r in rows))
    for title, field in (("Pathology", "pathology"), ("View", "view"), ("Density", "density"), ("Bits stored", "bits"), ("Maker", "maker")):
        assert bars(page, title) == counted(getattr(row, field) or "unknown" for row in rows), title
    assert bars(page, "Lesions by kind") == counted(lesion.kind for row in rows for lesion in row.lesions)
    assert sum(map(int, bars(page, "Image size, rows x columns").values())) == 5
    for caption, field in re.findall(r"<figcaption>\w+, \w+: (\d+) of (\d+)</figcaption>", page):
        assert 0 < int(caption) <= int(field)
    assert [["synthetic", "phantom", str(len(rows))]] == table(page, "licence")


def test_the_page_names_no_file_and_no_person(made, tmp_path):
    folder, rows = made
    browse(folder / "data", tmp_path / "page.html", images=5)
    page = (tmp_path / "page.html").read_text()
    names = {name for row in rows for name in (row.path, Path(row.path).name, row.image_id, row.patient_id, row.exam_id)}
    names |= {name.split("/")[-1] for name in names} | {str(folder), "jane_doe", "x.dcm", "raw.dcm"}
    words = re.sub(r'src="[^"]*"', "", page)
    assert not [name for name in names if name in words]
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(s.startswith(("data:image/png;base64,", "#")) for s in sources)
    assert not re.search(r"https?://|@import|url\(|<script|<link", page)


def test_what_was_left_out_is_listed_with_reason_and_line(made, tmp_path):
    browse(made[0] / "data", tmp_path / "page.html", images=0)
    page = (tmp_path / "page.html").read_text()
    assert ["1", "phantom", "... is cut short", "fault", "skipped.csv line 2"] in table(page, "left out")
    assert ["1", "phantom", "FOR PROCESSING twin", "by rule", "skipped.csv line 3"] in table(page, "left out")
    browse(made[0] / "data" / "shards" / "train", tmp_path / "page.html", images=0)
    assert "what was left out when it was made is not known" in (tmp_path / "page.html").read_text()


def test_a_broken_file_is_counted_and_shown_and_the_page_is_the_same_from_workers(copy, tmp_path):
    folder, rows = copy
    number = next(n for n, row in enumerate(rows) if row.pathology == "malignant")
    Path(rows[number].path).write_bytes(Path(rows[number].path).read_bytes()[:900])
    report = browse(folder / "data", tmp_path / "page.html", images=len(rows))
    page = (tmp_path / "page.html").read_bytes()
    assert [name for name, _ in report.broken] == [f"row {number}"] and report.read == len(rows) - 1
    [[name, source, why]] = table(page.decode(), "cannot be read")
    assert (name, source, why) == (f"row {number}", "phantom", report.broken[0][1])
    assert f"1 of the {len(rows)} images that were looked at cannot be read" in page.decode()
    browse(folder / "data" / "catalog.parquet", tmp_path / "again.html", images=len(rows), workers=1)
    assert (tmp_path / "again.html").read_bytes() == page


def test_shards_are_browsed_as_their_catalog(made, tmp_path):
    folder, rows = made
    report = browse(folder / "data" / "shards", tmp_path / "page.html", images=4)
    page = (tmp_path / "page.html").read_text()
    assert (report.images, report.read) == (len(rows), 4)
    for title, field in (("Pathology", "pathology"), ("View", "view"), ("Density", "density"), ("Age, years", None)):
        told = bars(page, title)
        assert told == counted(getattr(row, field) for row in rows) if field else sum(map(int, told.values())) == len(rows)
    assert {split: int(images) for split, _, _, images, *_ in table(page, "split") if int(images)} == Counter(row.split for row in rows)
    assert bars(page, "Image size, rows x columns") == {"128 x 80": "4"}
    assert not [row.image_id for row in rows if row.image_id in page]


def test_a_bucket_gives_the_page_that_a_folder_gives(made, tmp_path, monkeypatch):
    data = made[0] / "data"
    with GcsServer("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        monkeypatch.setenv("MAMMOLIBS_CACHE", str(tmp_path / "cache"))
        store = open_store("gs://bucket/a")
        for path in (path for path in data.rglob("*") if path.is_file()):
            store.write(path.relative_to(data).as_posix(), path.read_bytes())
        for place, local in (("gs://bucket/a/shards", data / "shards"), ("gs://bucket/a", data)):
            browse(place, "gs://bucket/pages/page.html", images=2)
            browse(local, tmp_path / "page.html", images=2)
            assert open_store("gs://bucket/pages").read("page.html") == (tmp_path / "page.html").read_bytes()
        assert server.violations == []


def test_damage_in_a_shard_costs_its_samples_and_no_count(copy, tmp_path):
    folder, rows = copy
    shard = sorted((folder / "data" / "shards" / "train").glob("*.tar"))[0]
    data = bytearray(shard.read_bytes())
    at = data.index(b'"density"')
    data[at + 12] ^= 1
    shard.write_bytes(data)
    report = browse(folder / "data" / "shards", tmp_path / "page.html", images=0)
    page = (tmp_path / "page.html").read_text()
    assert len(report.broken) == 1 and "checksum" in report.broken[0][1] and report.images == len(rows)
    assert bars(page, "Density")["unknown"] == "1" and sum(map(int, bars(page, "Pathology").values())) == len(rows)
    shard.unlink()
    assert len(browse(folder / "data" / "shards", tmp_path / "page.html", images=0).broken) > 1


def test_a_view_has_the_lesions_where_they_are(made):
    folder, rows = made
    row = next(row for row in rows if row.lesions)
    view = view_row(row)
    mask = cv2.imread(row.lesions[0].outline.path, 0) > 127
    assert view.size == mask.shape and view.picture.shape == view.lesions.shape and view.levels.sum() == pytest.approx(1)
    scale = view.picture.shape[0] / mask.shape[0]
    for y, x in np.argwhere(mask)[::50]:
        assert view.lesions[int((y + 0.5) * scale), int((x + 0.5) * scale)]
    assert view.lesion_mm[0] == pytest.approx(2 * np.sqrt(mask.sum() / np.pi) * row.spacing_mm, rel=0.02)
    prepared = view_sample((str(folder / "data" / "shards" / row.split), 0))
    assert prepared.size == (128, 80) and prepared.levels.shape == (LEVELS,) and prepared.levels.sum() == pytest.approx(1)


def drawn_rows(counts):
    """counts: (source, view, pathology) -> images, two of each patient."""
    return [
        ImageRow(
            image_id=f"{s}-{v}-{p}-{n}", source=s, view=v, pathology=p, patient_id=f"{s}/{n // 2:03d}", exam_id="e", path="x", split="train"
        )
        for (s, v, p), count in counts.items()
        for n in range(count)
    ]


def test_examples_are_spread_over_cells_and_patients():
    rows = drawn_rows({("a", "CC", "normal"): 80, ("a", "CC", "malignant"): 2, ("b", "MLO", "benign"): 10})
    chosen = choose(rows, 48)
    many, ill, other = ("a", "CC", "normal"), ("a", "CC", "malignant"), ("b", "MLO", "benign")
    assert {cell: len(numbers) for cell, numbers in chosen.items()} == {many: 4, ill: 2, other: 4}
    assert [rows[n].patient_id for n in chosen[many]] == ["a/005", "a/015", "a/025", "a/035"]
    few = choose(rows, 2)
    assert [len(few[cell]) for cell in (many, ill, other)] == [1, 0, 1]
    assert all(rows[n].source == cell[0] and rows[n].pathology == cell[2] for cell, numbers in chosen.items() for n in numbers)


def test_a_patient_in_two_splits_is_told(tmp_path):
    rows = drawn_rows({("a", "CC", "normal"): 6})
    write_catalog(tmp_path / "catalog.parquet", [replace(rows[0], split="test"), *rows[1:]])
    browse(tmp_path, tmp_path / "page.html", images=0)
    assert "Patients in more than one split: 1." in (tmp_path / "page.html").read_text()


def test_reasons_lose_what_could_name_a_person():
    text = "/data/Jane Doe/left.dcm: mask of 3 x 4 pixels (gs://b/Jane Doe/m.png); sub/jane.dcm P0042 is damaged"
    assert anonymous(text, ("/data/Jane Doe/left.dcm",)) == "...: mask of n x n pixels (...); ... n is damaged"
    assert anonymous(r"C:\films\doe.dcm, cut short", ()) == "..., cut short"
    assert anonymous("an exam of x is cut short", ("/in/x",)) == "an exam of ... is cut short"
    assert anonymous("doe.dcm is no image", ("/x/doe.dcm",)) == "... is no image"
    assert anonymous("the file's age is 'Jane Doe', said \"Jane\"", ()) == "the file's age is ..., said ..."


def test_numbers_are_binned_in_round_steps():
    ages = Counter((age, "a") for age in (39, 40, 49, 50, 71, None))
    assert [(bar.label, bar.text) for bar in binned("", ages, ["a"], step=10).bars] == [
        ("30 to 40", "1"), ("40 to 50", "2"), ("50 to 60", "1"), ("60 to 70", "0"), ("70 to 80", "1"), ("unknown", "1"),
    ]  # fmt: skip
    few = binned("", Counter([(0.07, "a"), (0.1, "b"), (0.07, "b")]), ["a", "b"]).bars
    assert [(bar.label, bar.parts) for bar in few] == [("0.07", (1, 1)), ("0.1", (0, 1))]
    assert [round_step(span) for span in (8, 9, 0.31, 20)] == pytest.approx([1, 2, 0.05, 5])
    edge = binned("", Counter((n / 10, "a") for n in range(10)), ["a"], step=0.3).bars
    assert [bar.text for bar in edge] == ["3", "3", "3", "1"]


def test_numbers_that_read_alike_are_one_bar():
    chart = binned("Spacing", {(0.07, "a"): 5, (0.0700001, "a"): 3, (0.1, "a"): 2}, ("a",))
    assert [(bar.label, bar.parts) for bar in chart.bars] == [("0.07", (8,)), ("0.1", (2,))]


def test_a_sample_names_its_parent_in_shards_too():
    row = ImageRow(image_id="a-r15", source="s", patient_id="s/1", exam_id="s/1", path="", parent_id="a", split="train")
    tissue = np.random.default_rng(0).uniform(0.5, 1, (200, 120)).astype(np.float32)
    facts = ImageFacts(source_file="x", transfer_syntax="", rows=260, columns=220)
    mammogram = Mammogram(pixels=np.pad(tissue, ((30, 30), (0, 100))), facts=facts)
    sample = prepare_image(mammogram, Contract(canvas_height_px=64, canvas_width_px=48), row=row)
    assert sample.extra["parent_id"] == "a"
    names = ("image_id", "source", "patient_id", "exam_id", "laterality", "view", "pathology", "split", "extra")
    assert _row_of({name: getattr(sample, name) for name in names}).parent_id == "a"


def test_many_rows_of_many_sources_are_all_counted():
    one = drawn_rows({("a", "CC", "normal"): 1})[0]
    rows = [replace(one, source=f"s{n % 9}", age_years=30 + n % 60, maker=f"m{n % 40}") for n in range(20_000)]
    [charts] = distributions(rows, {})
    assert charts.groups == ("s0", "s1", "s2", "s3", "s4", "other sources")
    for chart in charts.charts:
        total = sum(sum(bar.parts) for bar in chart.bars)
        assert total == (0 if chart.title.startswith("Lesion") else 20_000), chart.title
    makers = next(chart for chart in charts.charts if chart.title == "Maker")
    assert [bar.label for bar in makers.bars][-1] == "32 other values" and makers.bars[-1].text == "16,000"


def test_nothing_to_browse_is_said(tmp_path):
    with pytest.raises(BadFile, match="no catalog.parquet and no finished shard set"):
        browse(tmp_path, tmp_path / "page.html")
    with pytest.raises(BadFile, match="gone.parquet"):
        browse(tmp_path / "gone.parquet", tmp_path / "page.html")
    write_catalog(tmp_path / "empty.parquet", [])
    assert browse(tmp_path / "empty.parquet", tmp_path / "page.html").images == 0
    with pytest.raises(BadConfig, match="--images -1"):
        browse(tmp_path, tmp_path / "page.html", images=-1)


def test_the_script_writes_the_page(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["browse.py", str(made[0]), "--out", str(tmp_path / "page.html"), "--images", "1", "--workers", "0"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert not stop.value.code and f"{len(made[1])} images, 1 of them read" in capsys.readouterr().out
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert len(read_catalog(made[0] / "data" / "catalog.parquet")) == len(made[1])


def cyan(png):
    blue, green, red = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR).astype(int).transpose(2, 0, 1)
    return int(((green - red > 100) & (blue - red > 100)).sum())


def test_a_film_strip_shows_outlines_and_empty_places():
    rows, columns = np.mgrid[0:60, 0:40]
    film = Example(image_id="", image=np.full((60, 40), 90, np.uint8), truth=np.hypot(rows - 30, columns - 20) < 10, title="row 1")
    assert cyan(film_strip([film])) > 50 and cyan(film_strip([replace(film, truth=None)])) == 0
    assert film_strip([film, replace(film, image=None)]) == film_strip([film, replace(film, image=None)]) != film_strip([film, film])
    height = {cv2.imdecode(np.frombuffer(film_strip([film] * n), np.uint8), 0).shape[0] for n in (1, 4)}
    assert len(height) == 1


def test_charts_are_safe_and_in_proportion():
    charts = Charts(("a<b", "c"), (Chart("t&t", (Bar("x", (3, 1), "4"), Bar("y", (0, 2), "2"))),))
    page = charts_html(charts)
    assert "a&lt;b" in page and "t&amp;t" in page and re.findall(r"width:([\d.]+)%", page) == ["75.00", "25.00", "50.00"]
    assert "- x: 4 (a<b 3, c 1)" in charts_markdown(charts)
    with pytest.raises(ValueError, match="'x' does not have one part for each of 1 groups"):
        Charts(("a",), charts.charts)
