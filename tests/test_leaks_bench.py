"""The bench of leaks plants what it says it plants, and judges the verdicts rightly."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.catalog.trees import row

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture(scope="module")
def leaks():
    sys.path.insert(0, str(SCRIPTS))
    from benches import leaks as module

    yield module
    sys.path.remove(str(SCRIPTS))


@pytest.fixture
def by_patient():
    return [[replace(row(f"p{n}", image), exam_id=f"test/p{n}/first") for image in "12"] for n in range(12)]


@pytest.mark.parametrize("kind", ["clean", "patient", "exam", "official"])
@pytest.mark.parametrize("as_pool", [False, True])
def test_leaks_of_ids_are_planted_and_found_and_nothing_else(leaks, by_patient, tmp_path, kind, as_pool):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        planted = leaks.plant(kind, leaks.clean_split(by_patient, rng), rng, tmp_path / "none.png")
        verdict = leaks.judge(planted, None, as_pool=as_pool and kind != "official")
        assert leaks.is_named(verdict, leaks.EXPECTED[kind], planted.names)
        assert {name for name, found in verdict.leaks.items() if found} <= {leaks.EXPECTED[kind]}


def test_a_leak_that_nobody_named_is_not_found(leaks, by_patient):
    rng = np.random.default_rng(0)
    verdict = leaks.judge(leaks.Planted(leaks.clean_split(by_patient, rng)), None, as_pool=False)
    assert not leaks.is_named(verdict, "patient overlap", ("test/p1",)) and leaks.is_named(verdict, "", ())


@pytest.mark.parametrize("change", ["copy", "mirrored", "turned", "enhanced", "digitised"])
def test_changed_pixels_are_still_an_image(leaks, change):
    pixels = np.random.default_rng(0).random((120, 90), np.float32)
    made = leaks.CHANGES[change](pixels, np.random.default_rng(1))
    assert made.ndim == 2 and min(made.shape) >= 20 and made.min() >= 0 and made.max() <= 1.0001
    assert made.shape != pixels.shape or np.abs(made - pixels).mean() > 0.05
