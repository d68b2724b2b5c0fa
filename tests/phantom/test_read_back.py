import numpy as np
import pytest

from mammolibs.imaging.dicom_write import TRANSFER_SYNTAXES
from mammolibs.imaging.facts import facts_of
from mammolibs.imaging.guard import quiet
from mammolibs.imaging.header import open_header
from mammolibs.imaging.prefix import read_prefix
from mammolibs.imaging.read import read_facts, read_mammogram, read_stored
from mammolibs.phantom.plan import plan_exam
from mammolibs.phantom.render import render
from mammolibs.phantom.traps import TRAPS


@pytest.mark.parametrize("trap", sorted(TRAPS))
def test_what_is_displayed_is_what_was_drawn(trapped, trap):
    row = next(r for r in trapped.truth if r["traps"] == trap and not r["parent_id"])
    exam = plan_exam(trapped.settings["seed"], int(row["exam_id"][1:]) - 1)
    image = next(i for i in exam.images if i.image_id == row["image_id"])
    drawn = render(exam, image, trapped.settings["rows"])
    read = read_mammogram(trapped.folder / row["file"])
    breast = ~drawn.air & (drawn.display > 0.02) & (drawn.display < 0.98)
    pixels = read.pixels
    if trap == "no_window":
        slope, shift = np.polyfit(pixels[breast], drawn.display[breast], 1)
        pixels = slope * pixels + shift
    assert np.abs(pixels - drawn.display)[breast].max() < 0.006
    assert read.pixels[drawn.air].mean() < 0.05
    assert (read.laterality, read.view) == (row["laterality"], row["view"])
    assert read.spacing_mm == (pytest.approx(float(row["spacing_mm"])) if row["spacing_mm"] else None)


def test_headers_of_all_traps_are_read_as_pydicom_reads_them(trapped, plain):
    """Those that are little endian without pydicom."""
    others = {TRANSFER_SYNTAXES[name] for name in ("big", "deflated")}
    for path, syntax in ((made.folder / row["file"], row["transfer_syntax"]) for made in (trapped, plain) for row in made.truth):
        with open_header(path) as header, quiet():
            assert read_facts(path) == facts_of(header.path, header.dataset, header.syntax)
        assert (read_prefix(path.read_bytes()) is None) == (syntax in others)


def test_a_twin_is_darker_where_the_breast_is_thick(trapped):
    row = next(r for r in trapped.truth if r["intent"] == "FOR PROCESSING")
    parent = next(r for r in trapped.truth if r["image_id"] == row["parent_id"])
    shown = read_mammogram(trapped.folder / parent["file"])
    stored = read_stored(trapped.folder / row["file"]).frames[0].astype(float)
    inside = shown.pixels > 0.1
    assert stored[~inside].mean() > 3 * stored[inside].mean()
    assert np.corrcoef(-np.log(stored[inside]), shown.pixels[inside])[0, 1] > 0.6
