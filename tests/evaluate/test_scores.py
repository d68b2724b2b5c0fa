"""A stranger's table of scores: one command, one report; bad tables get one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mammolibs.errors import MammolibsError
from mammolibs.evaluate.bootstrap import Draws
from mammolibs.evaluate.result import is_figure
from mammolibs.evaluate.score_report import score_result, write_score_report
from mammolibs.evaluate.score_table import ScoreColumns, read_scores
from tests.walk import faults

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ScoreColumns(score="p", truth="y", patient="who", image="img", breast="side", source="site", second="q")


def write(path, rows=None, n=200, seed=0):
    rng = np.random.default_rng(seed)
    if rows is None:
        rows = []
        for i in range(n):
            y = int(rng.random() < 0.3)
            p, q = (1 / (1 + np.exp(-rng.normal(lift * y - 1))) for lift in (1.5, 0.7))
            rows.append((f"i{i}", f"w{i // 4}", "LR"[i // 2 % 2], f"s{i % 2}", y, f"{p:.6f}", f"{q:.6f}"))
    path.write_text("\n".join([";".join(("img", "who", "side", "site", "y", "p", "q")), *(";".join(map(str, row)) for row in rows)]))
    return rows


def test_figures_are_those_of_the_table_at_every_level(tmp_path):
    rows = write(tmp_path / "t.csv")
    table = read_scores(tmp_path / "t.csv", COLUMNS)
    result = score_result(table, Draws(table.patients, rounds=200), threshold=0.5, prevalence=0.01)
    y, p = np.array([r[4] for r in rows]), np.array([float(r[5]) for r in rows])
    assert result["scores"]["auc"]["value"] == pytest.approx(roc_auc_score(y, p))
    assert result["scores"]["auc"]["unit"] == "image" and result["scores"]["auc"]["n"] == 200
    best, ill = {}, {}
    for row, label, score in zip(rows, y, p, strict=True):
        best[row[1], row[2]] = max(score, best.get((row[1], row[2]), 0))
        ill[row[1], row[2]] = max(label, ill.get((row[1], row[2]), 0))
    assert result["breasts"]["auc"]["value"] == pytest.approx(roc_auc_score(list(ill.values()), list(best.values())))
    assert result["breasts"]["auc"]["n"] == len(best) and result["patients"]["auc"]["n"] == 50
    for site in ("s0", "s1"):
        held = np.array([r[3] == site for r in rows])
        assert result["sources"][f"AUC of {site}"]["value"] == pytest.approx(roc_auc_score(y[held], p[held]))
    assert result["confusion"]["true_positives"] == int(np.sum((p >= 0.5) & (y == 1)))
    assert "prevalence of 0.01" in result["decisions"]["ppv"]["method"]
    assert {t["method"].split()[0] for t in result["comparison"]["tests"]} == {"DeLong,", "permutation"}


def test_every_figure_has_unit_n_events_and_interval_or_a_reason(tmp_path):
    write(tmp_path / "t.csv")
    result = write_score_report(tmp_path / "out", read_scores(tmp_path / "t.csv", COLUMNS), rounds=200)
    figures = [f for block in result.values() if isinstance(block, dict) for f in block.values() if is_figure(f)]
    assert len(figures) > 30 and faults(result) == []
    page = (tmp_path / "out/report.html").read_text()
    assert "http://" not in page and "https://" not in page and "Not a medical device" in page
    assert json.loads((tmp_path / "out/report.json").read_text()) == result


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(f"i{i}", f"w{i}", "L", "s", 0, 0.1 * i, 0.2) for i in range(9)], "one class only"),
        ([(f"i{i}", f"w{i}", "L", "s", i % 2, 0.5, 0.2) for i in range(9)], "all scores are equal"),
        ([(f"i{i}", f"w{i % 3}", "L", "s", i % 2, 0.1 * i, 0.2) for i in range(9)], "only 3 patients"),
        ([(f"i{i}", f"w{i}", "L", "s", "", 0.1 * i, 0.2) for i in range(9)], "no image with a known label"),
    ],
)
def test_poor_tables_get_a_report_that_says_what_is_missing(tmp_path, rows, words):
    write(tmp_path / "t.csv", rows)
    result = write_score_report(tmp_path / "out", read_scores(tmp_path / "t.csv", COLUMNS), rounds=100)
    assert result["scores"]["auc"]["value"] is None and words in result["scores"]["auc"]["reason"]
    assert words in (tmp_path / "out/report.html").read_text()
    table = read_scores(tmp_path / "t.csv", COLUMNS)
    called = score_result(table, Draws(table.patients, rounds=100), threshold=0.5, prevalence=None)
    assert words in called["scores"]["auc"]["reason"] and ("decisions" in called) == bool(len(table.labels))


def test_a_patient_with_an_unread_view_is_not_cleared_by_a_benign_one(tmp_path):
    rows = [(f"i{n}", f"w{n // 2}", "LR"[n % 2], "s", n // 2 % 2, 0.05 * n, 0.2) for n in range(16)]
    unread = [(*row[:4], "", *row[5:]) if row[0] in ("i1", "i2") else row for row in rows]
    write(tmp_path / "t.csv", unread)
    table = read_scores(tmp_path / "t.csv", COLUMNS)
    patients, breasts = table.ranked("patient"), table.ranked("breast")
    assert "w0" not in patients.patient_of and (patients.n, patients.events) == (7, 4)
    assert (breasts.n, breasts.events) == (14, 7)


def test_breasts_of_two_patients_are_never_one(tmp_path):
    rows = [("a", "P1", "11", "s", 1, 0.9, 0.2), ("b", "P11", "1", "s", 0, 0.1, 0.2)]
    write(tmp_path / "t.csv", rows)
    breasts = read_scores(tmp_path / "t.csv", COLUMNS).ranked("breast")
    assert (breasts.n, breasts.events) == (2, 1)


def test_marks_and_strange_line_ends_inside_cells_are_text(tmp_path):
    write(tmp_path / "t.csv", [("i1", "w1", "L", "north\u2028wing", 1, 0.5, 0.5), ("i2", "w2", "R", '"two\nlines"', 0, 0.1, 0.2), GOOD[:5]])
    (tmp_path / "t.csv").write_text("\ufeff" + (tmp_path / "t.csv").read_text())
    with pytest.raises(MammolibsError, match="line 5 has 5 cells, the head 7"):
        read_scores(tmp_path / "t.csv", COLUMNS)
    (tmp_path / "t.csv").write_text((tmp_path / "t.csv").read_text().rpartition("\n")[0])
    assert read_scores(tmp_path / "t.csv", COLUMNS).sources.tolist() == ["north\u2028wing", "two\nlines"]


GOOD = ("i1", "w1", "L", "s", 1, 0.5, 0.5)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(*GOOD[:5], "high", 0.5)], "line 2: p is 'high', expected a number"),
        ([(*GOOD[:5], "nan", 0.5)], "line 2: p is 'nan', expected a number"),
        ([(*GOOD[:4], "maybe", 0.5, 0.5)], "line 2: y is 'maybe', expected 1 or 0"),
        ([("i1", " ", *GOOD[2:])], "line 2: who is empty"),
        ([("i1", "w1", "", *GOOD[3:])], "line 2: side is empty"),
        ([GOOD, GOOD], "img 'i1' comes twice"),
        ([GOOD[:5]], "line 2 has 5 cells, the head 7"),
        ([], "holds no rows"),
    ],
)
def test_bad_tables_are_told_with_their_line(tmp_path, rows, words):
    write(tmp_path / "t.csv", rows)
    with pytest.raises(MammolibsError, match=words) as error:
        read_scores(tmp_path / "t.csv", COLUMNS)
    assert error.value.exit_code == 2


def test_the_command_line_ends_with_0_a_report_and_2_for_a_missing_column(tmp_path):
    write(tmp_path / "t.csv", n=60)
    script = [sys.executable, str(ROOT / "eval/scores.py"), "t.csv", "--truth", "y", "--patient", "who", "--rounds", "100"]
    good = subprocess.run([*script, "--score", "p"], cwd=tmp_path, capture_output=True, text=True)
    assert good.returncode == 0 and "image AUC: 0." in good.stdout and (tmp_path / "scores/report.html").is_file()
    bad = subprocess.run([*script, "--score", "prob"], cwd=tmp_path, capture_output=True, text=True)
    assert bad.returncode == 2 and bad.stderr.count("\n") == 1 and "no column 'prob'; there are img, who" in bad.stderr
