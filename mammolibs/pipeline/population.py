"""Who the images are of: ages, densities, makers, as far as the sources say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from mammolibs.records import ImageRow

NOT_SAID = "not said"


def population(rows: Sequence[ImageRow]) -> dict[str, Any]:
    """Facts for a model card, JSON types: age in years and density over patients (the first that each one's images say), the rest over images."""
    ages = _first((row.patient_id, row.age_years) for row in rows)
    patients = {row.patient_id for row in rows}
    densities = _first((row.patient_id, row.density or None) for row in rows)
    return {
        "patients": len(patients),
        "images": len(rows),
        "age_years": age_facts(list(ages.values()), len(patients)),
        "density": counts(densities.get(patient) for patient in patients),
        "pathology": counts(row.pathology for row in rows),
        "maker": counts(row.maker for row in rows),
        "view": counts(row.view for row in rows),
        "source": counts(row.source for row in rows),
        "truth": counts(row.truth for row in rows),
    }


def age_facts(ages: Sequence[int], patients: int) -> dict[str, Any]:
    """Median, youngest, oldest in years, None where nobody says; known: of how many of the patients."""
    known = {"known": len(ages), "of": patients}
    return known | ({"median": median(ages), "from": min(ages), "to": max(ages)} if ages else {"median": None, "from": None, "to": None})


def counts(values: Iterable[str | None]) -> dict[str, int]:
    """How often each value comes, the most frequent first; empty ones as "not said"."""
    found = Counter(value or NOT_SAID for value in values)
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _first(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if value is not None:
            found.setdefault(name, value)
    return found
