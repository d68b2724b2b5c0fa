"""Model card, checklists and the page that carries them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mammolibs.evaluate.checklist import CHECKLISTS, checklists, read_checklist, resolve
from mammolibs.evaluate.document import Fold, Picture, Section, Table, Text, pictures_of, to_html, to_markdown
from mammolibs.evaluate.licences import UNKNOWN_TERMS, licence_terms, weights_terms
from mammolibs.evaluate.report import write_report

ROOT = Path(__file__).resolve().parents[2]


def licences_of_the_sources():
    """What every source of the catalog calls its licence, read from its file: this room may not import that one."""
    found = []
    for path in sorted((ROOT / "mammolibs" / "catalog" / "sources").glob("*.py")):
        found += re.findall(r'^LICENCE = "(.*)"$', path.read_text(), re.MULTILINE)
    return found


@pytest.mark.parametrize("licence", licences_of_the_sources())
def test_the_terms_of_every_source_are_known(licence):
    terms = licence_terms(licence)
    assert terms["forbids"] or terms["asks"]
    assert UNKNOWN_TERMS not in terms["forbids"]


@pytest.mark.parametrize(
    ("licence", "forbids", "asks"),
    [
        ("Duke-Breast-Cancer-MRI: CC BY-NC 4.0", ["commercial"], ["naming the source"]),
        ("CMMD: CC BY 4.0", [], ["naming the source"]),
        (
            "EMBED: non-commercial research only; no part may be passed on, and no weights or embeddings trained on it released,",
            ["commercial", "releasing weights", "passing on images", "but research"],
            [],
        ),
        ("CC BY-NC-SA 4.0", ["commercial"], ["naming the source", "same licence"]),
        ("synthetic", [], []),
        ("CC0", [], []),
        ("our own hospital's", ["not known to this library"], []),
        ("not stated", ["not known to this library"], []),
    ],
)  # fmt: skip
def test_what_a_licence_forbids_and_asks(licence, forbids, asks):
    terms = licence_terms(licence)
    for wanted, found in ((forbids, terms["forbids"]), (asks, terms["asks"])):
        assert len(wanted) == len(found) and all(any(word in words for words in found) for word in wanted), found


def test_weights_are_bound_by_every_licence_of_their_data():
    bound = weights_terms(["CMMD: CC BY 4.0", "synthetic", "Duke-Breast-Cancer-MRI: CC BY-NC 4.0"])
    assert len(bound["forbids"]) == 1 and "of weights trained on it too" in bound["forbids"][0] and len(bound["asks"]) == 1


def test_the_checklists_have_the_items_of_their_sources():
    claim, tripod = (read_checklist(name) for name in CHECKLISTS)
    assert [item["item"] for item in claim["items"]] == [str(n) for n in range(1, 45)]
    # 27 items; those with parts have as many as in Collins et al. 2024, table 2.
    parts = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef", 20: "abc", 23: "ab", 27: "abc"}
    assert [item["item"] for item in tripod["items"]] == [f"{n}{part}" for n in range(1, 28) for part in parts.get(n, [""])]
    for item in (*claim["items"], *tripod["items"]):
        assert item["asks"] and item["section"] and (item["answered_by"] or item["author"])


def test_paths_lead_to_what_holds_something():
    report = {
        "a": {"x": {"n": 1, "none": None}, "y": {"n": 0}, "word": "z"},
        "f": {"value": None, "unit": "image"},
        "l": [],
        "s": {"split_hash": "q"},
    }
    assert resolve(report, "a.*.n") == {"a.x.n": 1, "a.y.n": 0}
    assert resolve(report, "a.word") == {"a.word": "z"}
    assert (
        resolve(report, "a.x.none")
        == resolve(report, "f")
        == resolve(report, "l")
        == resolve(report, "s")
        == resolve(report, "gone.n")
        == {}
    )


@pytest.fixture(scope="module")
def written(make_predictions, tmp_path_factory):
    """The folder and the report.json of a run whose test set was touched, of which little is known."""
    folder, made_by = tmp_path_factory.mktemp("report"), {"touched": ["31 patients (patient overlap)"]}
    facts = {"data": {"sources": ["mias"]}, "provenance": made_by, "runtime": {}}
    return folder, write_report(folder, predictions=make_predictions(12), stages={}, split_hash="x", rounds=20, **facts)


def test_a_checklist_says_what_is_filled_empty_and_the_authors(written):
    folder, result = written
    told = json.loads((folder / "checklist.json").read_text())
    assert told == checklists(result)
    items = {item["item"]: item for item in told["claim_2024"]["items"]}
    assert (
        items["44"]["state"] == "author"
        and items["37"]["state"] == "filled"
        and items["7"]["state"] == "partly"
        and items["22"]["state"] == "empty"
    )
    assert items["7"]["answers"] == {"data.sources": "mias"}
    assert re.fullmatch(r"0\.\d\d \[0\.\d\d, [01]\.\d\d\] \(48 x image\)", items["2"]["answers"]["pipeline.image_auc"])
    for checklist in told.values():
        assert sum(checklist["counts"].values()) == len(checklist["items"])
        assert f"of {len(checklist['items'])} items {checklist['counts']['filled']} are answered" in (folder / "report.html").read_text()


def test_an_installed_package_holds_the_checklists(tmp_path):
    build = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path), "build_py", "--build-lib", str(tmp_path / "lib")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    for name in CHECKLISTS:
        assert json.loads((tmp_path / "lib" / "mammolibs" / "evaluate" / "checklists" / f"{name}.json").read_text())["items"]


def test_alarms_come_before_any_figure(written):
    page = (written[0] / "report.html").read_text()
    assert page.index('<p class="alarm">NOT HELD OUT') < page.index('class="cards"')


def test_the_contents_reach_every_section_and_details_are_folded():
    long = Table(("row",), tuple((str(n),) for n in range(40)))
    inside = Fold("more", (Text("told here"), long, Picture("p.png", b"\x89PNG", "inside")))
    sections = [Section("Same", (inside,), "One"), Section("Same", (long,), "Two"), Section("Other", (Text("x" * 30, "alarm"),), "Two")]
    page = to_html("t", "l", sections)
    assert re.findall(r'href="#([^"]+)"', page) == re.findall(r'<section id="([^"]+)"', page) == ["same", "same-2", "other"]
    # The long table inside folded details is not folded once more.
    assert page.count("<details>") == page.count("</details>") == 2 and page.index("<p>One</p>") < page.index("<p>Two</p>")
    assert [picture.name for picture in pictures_of(sections)] == ["p.png"]
    text = to_markdown("t", "l", sections)
    assert "told here" in text and "ALARM" in text and "(figures/p.png)" in text
