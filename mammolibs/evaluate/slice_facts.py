"""What slices are cut by: facts of an image, and facts of its lesions."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mammolibs.evaluate.predictions import LesionTruth, Prediction
from mammolibs.evaluate.slice_tests import SOURCE
from mammolibs.records import UNKNOWN

ImageFact = Callable[[Prediction], str]
LesionFact = Callable[[Prediction, LesionTruth], str]
AGES = ((40, "under 40"), (50, "40 to 49"), (60, "50 to 59"), (70, "60 to 69"), (float("inf"), "70 and over"))
# Up to 10 and up to 20 mm are where the T stages of breast cancer part (T1b, T1c; AJCC, 8th edition).
SIZES_MM = ((10.0, "up to 10 mm"), (20.0, "10 to 20 mm"), (float("inf"), "over 20 mm"))
_IN_BANDS = tuple(name for _, name in (*AGES, *SIZES_MM))


def _age(p: Prediction) -> str:
    return "" if p.age_years is None else next(name for end, name in AGES if p.age_years < end)


def diameter_mm(p: Prediction, lesion: LesionTruth) -> float | None:
    """Of the disc that has the lesion's area; None where spacing or size is unknown."""
    return 2 * lesion.radius_px * p.spacing_mm if lesion.radius_px and p.spacing_mm else None


def size_band(diameter: float | None) -> str:
    """The name of the band of SIZES_MM that `diameter` (mm) lies in; empty where it is unknown."""
    return "" if diameter is None else next(name for end, name in SIZES_MM if diameter <= end)


# Each gives empty, or unknown, where nobody says it.
IMAGE_FACTS: dict[str, ImageFact] = {
    SOURCE: lambda p: p.source,
    "maker": lambda p: p.maker.strip(),
    "technology": lambda p: p.technology,
    "density": lambda p: p.density,
    "view": lambda p: p.view,
    "laterality": lambda p: p.laterality,
    "age": _age,
    "implant": lambda p: {True: "yes", False: "no"}.get(p.implant, ""),
}
LESION_FACTS: dict[str, LesionFact] = {
    "lesion kind": lambda _, lesion: lesion.kind,
    "lesion size": lambda p, lesion: size_band(diameter_mm(p, lesion)),
}


def said(values: Iterable[str]) -> list[str]:
    """The different values that say something: bands from the lowest, all else by name."""
    known = set(values) - {"", UNKNOWN}
    return sorted(known, key=lambda name: (_IN_BANDS.index(name) if name in _IN_BANDS else -1, name))


def of_malignant(fact: LesionFact, p: Prediction) -> set[str]:
    """What is said of the lesions that make a malignant image so: those marked malignant, else all. Empty where the image is not malignant."""
    if p.label != 1:
        return set()
    malignant = [one for one in p.lesions if one.pathology == "malignant"] or p.lesions
    return set(said(fact(p, one) for one in malignant))
