"""The bench of the data path runs, compares like with like, and judges its ratios rightly."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

import cv2
import pytest
import torch

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture(scope="module")
def part():
    """Imports a part of the bench by its name."""
    sys.path.insert(0, str(SCRIPTS))
    yield lambda name: import_module(f"benches.data{name}")
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(autouse=True)
def as_before():
    """A bench sets variables and threads for its process, which is the tests' here."""
    environment, threads = dict(os.environ), (torch.get_num_threads(), cv2.getNumThreads())
    yield
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


def rows(printed: str, part: str) -> dict[tuple[str, str], list[str]]:
    """(ours, against) -> the other cells of each row of a table."""
    lines = [line for line in printed.splitlines() if line.startswith(f"{part} ") and line[64:73].strip()]
    return {(line[8:30].strip(), line[30:64].strip()): line[64:].split() for line in lines}


def test_a_ratio_is_reached_at_its_target_and_not_below(part, capsys):
    for ratio in (4.99, 5.0):
        part("").print_row("part", f"{ratio}", "theirs", 10.0, 2.0, ratio, 5.0)
    part("").print_row("part", "unasked", "theirs", 10.0, 2.0, 5.0)
    found = rows(capsys.readouterr().out, "part")
    assert [cells[-1] for cells in found.values()] == ["no", "yes", "5.00"]


def test_a_prepared_sample_is_compared_with_one_by_plain_libraries(part, capsys):
    part("_sample").main(["--quick"])
    printed = capsys.readouterr().out
    assert float(rows(printed, "sample")["explicit LE", "pydicom + scikit-image"][2]) > 0
    assert "JPEG lossless .70" in printed


def test_the_stored_form_is_compared_in_speed_and_bytes(part, capsys):
    part("_stored").main(["--quick"])
    found = rows(capsys.readouterr().out, "stored")
    assert {ours for ours, _ in found} == {"blosc2", "blosc2, bytes", "jxl", "jxl, bytes"}
    assert all(float(cells[2]) > 0 for cells in found.values())
    assert [cells[3:] for (ours, _), cells in found.items() if ours == "jxl"] == [[], []]
    assert {against for _, against in found} == {"folder of PNG, 12 bit", "folder of PNG, prepared"}


def test_streams_give_the_samples_that_single_objects_hold(part, capsys):
    part("_stream").main(["--quick"])
    printed = capsys.readouterr().out
    found = rows(printed, "stream")
    for ours in ("cold", "warm"):
        assert found[ours, "a GET per object, OpenCV"][-1] in ("yes", "no")
        assert len(found[ours, "own stream, a GET per sample"]) == 3
    assert "client: 2 requests each" in printed


def test_a_reader_with_other_samples_ends_the_bench(part):
    ones, twos = (lambda value=value: iter([(("0",), torch.full((1, 2, 2), value), torch.ones(1, 2, 2))]) for value in (1.0, 2.0))
    part("_stream").compare_samples({"cold": ones, "client": ones})
    with pytest.raises(SystemExit, match="client: gives other samples than our shards hold"):
        part("_stream").compare_samples({"cold": ones, "client": twos})
