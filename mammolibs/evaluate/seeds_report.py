"""The report over several seeds: each run's figures beside each other, and what of a difference is training noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mammolibs.evaluate.conclusions import not_held_out
from mammolibs.evaluate.document import Item, Picture, Section, Table, Text
from mammolibs.evaluate.figures import BLUE, GREY, dress, new_figure, to_png
from mammolibs.evaluate.flow import flatten
from mammolibs.evaluate.pages import write_pages
from mammolibs.evaluate.result import DISCLAIMER, show
from mammolibs.evaluate.sections import STAGES, name_of
from mammolibs.storage import write_json

SHOWN = (
    ("pipeline", "image_auc"), ("pipeline", "patient_auc"), ("pipeline", "sensitivity_at_90_specificity"),
    ("unet", "lesion_sensitivity_at_1_fp"), ("unet", "dice"), ("resnet", "patch_auc"),
)  # fmt: skip
NOTE = (
    "Two runs: what the difference of two single runs that differ in nothing but the seed stays below in 95 of 100 cases, were the figure normally "
    "distributed over seeds; from few runs that is a wide guess. A smaller difference between two settings with one run each is no evidence for either. "
    "Intervals in square brackets hold patients alone, as if these networks were the only ones."
)


def write_seeds_report(folder: str | Path, result: Mapping[str, Any]) -> None:
    """report.json, .md and .html in `folder`. result: what `spread_over_seeds` gives, with "runs" (of each seed its "seed" and
    "folder", and its blocks), "data", "provenance" (seed -> what its figures stand on) and "command"."""
    folder, title = Path(folder), f"Mammography pipeline: {len(result['runs'])} seeds"
    lead = f"Trained {len(result['runs'])} times on the same data and split, judged on the same held-out patients. Split {result['data']['split_hash']}."
    sections = build_sections(result)
    write_pages(folder, title, lead, sections)
    write_json(folder / "report.json", {**result, "disclaimer": DISCLAIMER})


def build_sections(result: Mapping[str, Any]) -> list[Section]:
    """The sections in reading order."""
    warnings = [Text(sentence, "warning") for sentence in not_held_out(result["provenance"])]
    caption = "Each dot a seed; bar: the mean's 95 % interval over patients. Dots further apart than their bar is long: the seed counts more than the patients."
    picture = Picture("seeds.png", png, caption) if (png := seeds_figure(result)) else Text("No figure is known for two seeds.", "note")
    sentences = [Text(sentence) for stage, name in SHOWN if (sentence := in_words(result, stage, name))]
    runs = tuple((f"seed {run['seed']}", run["folder"]) for run in result["runs"])
    made_by: list[Item] = [Table((name, ""), tuple(flatten(result[name]))) for name in ("data", "provenance")]
    return [
        Section("What a seed changes", (*warnings, Text(DISCLAIMER, "warning"), *sentences, picture, Text(NOTE, "note"))),
        *(Section(STAGES[stage], (stage_table(result, stage),)) for stage in result["values"] if result["values"][stage]),
        Section("Runs", (Table(("seed", "its run, report and predictions"), runs),)),
        Section("How to make it again", (Text(result["command"] or "command not recorded", "command"), *made_by)),
    ]


def in_words(result: Mapping[str, Any], stage: str, name: str) -> str:
    """One sentence on a figure; empty where fewer than two seeds have it."""
    noise, two, mean = (result[part].get(stage, {}).get(name) for part in ("training_noise", "two_runs", "mean"))
    if not noise or noise["value"] is None:
        return ""
    low, high = _range(result["values"][stage][name])
    apart = (
        f"two single runs may differ by {two['value']:.2f} by the seed alone."
        if two["value"] < 1
        else "too few to say how far two single runs may differ by the seed alone."
    )
    return f"{name_of(name)}: {low:.2f} to {high:.2f} over {noise['n']} seeds, standard deviation {show(noise, digits=3)}; mean {show(mean)}; {apart}"


def stage_table(result: Mapping[str, Any], stage: str) -> Table:
    """Every figure of a stage by seed, with its spread."""
    rows = []
    for name, values in result["values"][stage].items():
        noise, two = (result[part][stage][name] for part in ("training_noise", "two_runs"))
        mean = result["mean"].get(stage, {}).get(name)
        told = "" if noise["value"] is None else "{:.2f} to {:.2f}".format(*_range(values))
        deviation = show(noise) if noise["value"] is None else f"{noise['value']:.3f} ({noise['n']})"
        shown = ("none" if value is None else f"{value:.2f}" for value in values)
        limit = "" if two["value"] is None else f"{two['value']:.2f}"
        rows.append((name_of(name), *shown, show(mean) if mean else "", told, deviation, limit))
    seeds = (f"seed {run['seed']}" for run in result["runs"])
    return Table(("figure", *seeds, "mean [95 %]", "lowest to highest", "deviation (seeds)", "two runs"), tuple(rows))


def _range(values: Sequence[float | None]) -> tuple[float, float]:
    known = [value for value in values if value is not None]
    return min(known), max(known)


def seeds_figure(result: Mapping[str, Any]) -> bytes | None:
    """The main figures, a dot for each seed over the interval of their mean."""
    shown = [(stage, name) for stage, name in SHOWN if result["training_noise"].get(stage, {}).get(name, {}).get("value") is not None]
    if not shown:
        return None
    figure, (axes,) = new_figure(7.4, 0.8 + 0.42 * len(shown))
    for height, (stage, name) in enumerate(reversed(shown)):
        mean, values = result["mean"][stage][name], [v for v in result["values"][stage][name] if v is not None]
        if mean["low"] is not None:
            axes.plot([mean["low"], mean["high"]], [height, height], color=GREY, linewidth=7, alpha=0.35, solid_capstyle="butt")
        axes.plot(values, [height] * len(values), "o", color=BLUE, markersize=5, alpha=0.8)
    dress(axes, "The same training, other seeds", "", "")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.6, len(shown) - 0.4))
    axes.set_yticks(range(len(shown)), labels=[name_of(name) for _, name in reversed(shown)])
    return to_png(figure)
