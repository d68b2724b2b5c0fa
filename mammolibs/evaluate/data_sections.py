"""The report's sections on its data: the flow of exclusions, what the split holds, whom the images are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mammolibs.evaluate.document import Fold, Item, Picture, Section, Table, Text
from mammolibs.evaluate.flow import flatten
from mammolibs.evaluate.flow_figure import flow_figure
from mammolibs.evaluate.result import plural
from mammolibs.evaluate.sections import name_of

# Told in the flow, or in the table of the population.
TOLD = ("held_out", "flow", "catalog", "samples", "population", "skipped", "left_out_on_purpose")


def data_sections(result: Mapping[str, Any]) -> list[Section]:
    """Flow, then the held-out images and the data, then the population where the catalog's facts are there."""
    data = result["data"]
    held = data["held_out"]
    items: list[Item] = [Table(("held-out images", ""), tuple(flatten({k: v for k, v in held.items() if k != "left_out"})))]
    if other := flatten({name: value for name, value in data.items() if name not in TOLD}):
        items.append(Table(("data", ""), tuple(other)))
    sections = [flow_section(data["flow"]), Section("Data", tuple(items))]
    return [*sections, population_section(data["population"])] if data.get("population") else sections


def flow_section(flow: Mapping[str, Any]) -> Section:
    """The diagram, and its numbers as a table."""
    png = flow_figure(flow, {fields["figure"]: name_of(fields["figure"]) for fields in flow["figures"]})
    caption = "Down: what went on. Right: what was left out, and why. Bottom row: what each figure was counted on."
    picture: tuple[Item, ...] = (Picture("flow.png", png, caption),) if png else (Text("There are no held-out images.", "note"),)
    rows = [(step["step"], f"{step['count']:,}", _told(step["left_out"])) for step in flow["steps"]]
    rows += [
        (f"{split}: images in the catalog", f"{counts['images']:,}", _told(counts["left_out"]) + _samples(counts))
        for split, counts in flow["splits"].items()
    ]
    rows += [
        (
            name_of(f["figure"]),
            f"{f['counted']:,} of {f['count']:,} {f['unit'] if f['count'] == 1 else plural(f['unit'])}",
            _told(f["left_out"]),
        )
        for f in flow["figures"]
    ]
    return Section("Flow of exclusions", (*picture, Fold("The same as a table", (Table(("step", "count", "left out"), tuple(rows)),))))


def _samples(counts: Mapping[str, Any]) -> str:
    return "" if counts["samples"] is None else f" ({counts['samples']:,} samples made)"


def _told(reasons: list[Mapping[str, Any]]) -> str:
    return "; ".join(f"{reason['count']:,}: {reason['reason']}" for reason in reasons) or "none"


def population_section(population: Mapping[str, Mapping[str, Any]]) -> Section:
    """A column per split, a row per fact; what no source says is said to be missing."""
    facts = {"patients": "patients", "images": "images", "age_years": "age in years", "density": "density, patients", "pathology": "pathology, images",
             "maker": "maker, images", "view": "view, images", "source": "data set, images", "truth": "truth, images"}  # fmt: skip
    rows = tuple((name, *(_fact(of_split[key]) for of_split in population.values())) for key, name in facts.items())
    return Section("Whom the images are of", (Table(("", *population), rows),))


def _fact(value: Any) -> str:
    if not isinstance(value, Mapping):
        return f"{value:,}"
    if "known" in value:
        spread = "" if value["median"] is None else f"median {value['median']:g}, {value['from']} to {value['to']}; "
        return f"{spread}known of {value['known']} of {value['of']} patients"
    return ", ".join(f"{name} {count:,}" for name, count in value.items()) or "none"
