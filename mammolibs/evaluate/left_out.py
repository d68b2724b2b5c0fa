"""One report over several runs, each judged on the source that it was trained without: what is lost elsewhere, and on average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mammolibs.evaluate.analysis import Beside
from mammolibs.evaluate.bootstrap import ROUNDS, Draws, Statistic, difference, estimate_all, mean_over_folds, problem_of
from mammolibs.evaluate.document import Item, Section, Table, Text
from mammolibs.evaluate.external import CUT_RULE, MIX, drop_reading, drops, main_statistics
from mammolibs.evaluate.pages import write_pages
from mammolibs.evaluate.result import DISCLAIMER, block, show
from mammolibs.evaluate.sections import name_of
from mammolibs.records import Estimate
from mammolibs.storage import write_json

TITLE = "Leave one source out"
MEAN_RULE = (
    "The mean drop counts every source once, however large. Its interval draws the patients of all sources together, so that a patient who is "
    "held out at home in one run and comes from elsewhere in another counts as one. It holds the networks as they were trained: "
    "training again would move the figures further."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class LeftOut:
    """One run. trained_on: its sources. internal: its own held-out patients; external: the source that it was trained without."""

    trained_on: tuple[str, ...]
    internal: Beside
    external: Beside


def write_left_out(
    folder: str | Path,
    runs: Mapping[str, LeftOut],
    *,
    data: Mapping[str, Any],
    provenance: Mapping[str, Any],
    command: str,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, Any]:
    """report.json, .md and .html in `folder`; returns what stands in report.json.

    runs: source left out -> its run. data: facts as `write_report` takes them. provenance: source left out -> what its figures stand on.
    """
    folder = Path(folder)
    draws = Draws(
        [p.patient_id for run in runs.values() for part in (run.internal, run.external) for p in part.rows], rounds=rounds, seed=seed
    )
    inside, outside = (
        [main_statistics(part.rows, part.chosen) for part in parts] for parts in zip(*((r.internal, r.external) for r in runs.values()))
    )
    of_runs = zip(runs.items(), inside, outside, strict=True)
    result: dict[str, Any] = {"sources": {name: _of_run(run, *figures, draws) for (name, run), *figures in of_runs}}
    figures = list(inside[0])
    means = {name: mean_drop([(a[name], b[name]) for a, b in zip(inside, outside, strict=True)], draws) for name in figures}
    result["mean_drop"] = block(means, _joint_hash(runs))
    result |= {"data": dict(data), "provenance": dict(provenance), "command": command, "disclaimer": DISCLAIMER}
    lead = f"Intervals: 95 %, {rounds} bootstrap rounds over whole patients, seed {seed}."
    sections = _sections(result, figures)
    write_pages(folder, TITLE, lead, sections)
    write_json(folder / "report.json", result)
    return result


def _of_run(run: LeftOut, inside: Mapping[str, Statistic], outside: Mapping[str, Statistic], draws: Draws) -> dict[str, Any]:
    internal, external = estimate_all(inside, draws), estimate_all(outside, draws)
    shared = len({p.patient_id for p in run.internal.rows} & {p.patient_id for p in run.external.rows})
    return {
        "trained_on": list(run.trained_on),
        "internal": block(internal, run.internal.split_hash),
        "external": block(external, run.external.split_hash),
        "drop": block(drops(internal, external, shared), run.external.split_hash),
    }


def mean_drop(pairs: Sequence[tuple[Statistic, Statistic]], draws: Draws) -> Estimate:
    """Mean over the runs of internal minus external, from one set of draws; runs where either is missing are left out of both.

    pairs: (internal, external) of each run.
    """
    usable = [pair for pair in pairs if not any(map(problem_of, pair))]
    if not usable:
        first = pairs[0][0]
        reason = next(problem for pair in pairs for problem in map(problem_of, pair) if problem)
        return Estimate(
            value=None, unit=first.unit, method=f"mean drop of: {first.method}", reason=f"no source has it on both sides: {reason}"
        )
    patients = np.unique(np.concatenate([part.patients for pair in usable for part in pair]))
    inside, outside = (_over(patients, mean_over_folds(parts, "sources")) for parts in zip(*usable, strict=True))
    found = difference(inside, outside, draws)
    left = f"; {len(pairs) - len(usable)} of {len(pairs)} sources without it left out" if len(usable) < len(pairs) else ""
    return replace(found, method=f"mean drop over {len(usable)} sources, {found.method}{left}")


def _over(patients: np.ndarray, statistic: Statistic) -> Statistic:
    """The same figure as a function of the weights of more patients, sorted: the others play no part."""
    columns = np.searchsorted(patients, statistic.patients)
    return replace(statistic, patients=patients, evaluate=lambda weights: statistic.evaluate(weights[:, columns]))


def _joint_hash(runs: Mapping[str, LeftOut]) -> str:
    return " ".join(str(run.external.split_hash) for run in runs.values())


def _sections(result: Mapping[str, Any], figures: Sequence[str]) -> list[Section]:
    return [
        Section("What is lost elsewhere", (Text(DISCLAIMER, "warning"), *map(Text, left_out_conclusions(result)))),
        *(Section(name_of(name), (_table(result, name),)) for name in figures),
        Section("How to read this", (Text(CUT_RULE), Text(MIX), Text(MEAN_RULE))),
        Section("How to make it again", _again(result)),
    ]


def _table(result: Mapping[str, Any], figure: str) -> Table:
    rows = [
        (", ".join(run["trained_on"]), name, show(run["internal"][figure]), show(run["external"][figure]), show(run["drop"][figure]),
         drop_reading(run["drop"][figure]))
        for name, run in result["sources"].items()
    ]  # fmt: skip
    mean = result["mean_drop"][figure]
    rows.append((f"mean over {_counted(result, figure)}", "", "", "", show(mean), drop_reading(mean)))
    return Table(("trained on", "tested on", "internal: held out at home", "external", "drop [95 % interval]", "reading"), tuple(rows))


def _counted(result: Mapping[str, Any], figure: str) -> str:
    """How many sources have the figure on both sides."""
    count = sum(run["drop"][figure]["value"] is not None for run in result["sources"].values())
    return "1 source" if count == 1 else f"{count} sources"


def left_out_conclusions(result: Mapping[str, Any]) -> list[str]:
    """Sentences from the drops of the image AUC."""
    mean, runs = result["mean_drop"]["image_auc"], result["sources"]
    if mean["value"] is None or mean["low"] is None:
        first = f"The mean drop of the image AUC is not known: {mean['reason']}."
    else:
        shown = {"worse elsewhere": "which is more than chance", "better elsewhere": "a gain"}.get(
            drop_reading(mean), "whose interval holds 0: no drop is shown"
        )
        fall = f"the image AUC falls by {show(mean)} on average over {_counted(result, 'image_auc')}, {shown}"
        first = f"Judged on a source that training had nothing of, {fall}."
    worse = [name for name, run in runs.items() if drop_reading(run["drop"]["image_auc"]) == "worse elsewhere"]
    told = f"On {', '.join(worse)} the drop alone is more than chance." if worse else "On no single source is a drop more than chance."
    synthetic = "synthetic" in result["data"].get("truth", ())
    false = ["All or part of the data is synthetic: nothing here says how the pipeline does on patients."] if synthetic else []
    return [first, told, *false, "Sources are few and not drawn at random: another site may lose more than any of these."]


def _again(result: Mapping[str, Any]) -> tuple[Item, ...]:
    where = (
        "Every figure is computed from predictions.parquet in without/<source>/report (home) and without/<source>/external/<source>; "
        "the whole report of each run lies beside it."
    )
    return (Text(result["command"] or "command not recorded", "command"), Text(where, "note"), *_weights(result["provenance"]))


def _weights(provenance: Mapping[str, Any]) -> tuple[Item, ...]:
    rows = tuple(
        (name, ", ".join(f"{stage} {sha[:16]}" for stage, sha in told.get("weights_sha256", {}).items()))
        for name, told in provenance.items()
    )
    return (Table(("run without", "sha256 of its weights"), rows),) if rows else ()


def drop_lines(result: Mapping[str, Any]) -> list[str]:
    """The drops of the image AUC as lines for the console."""
    lines = [
        f"  without {name:14} {show(run['internal']['image_auc'])} at home, {show(run['external']['image_auc'])} elsewhere, "
        f"drop {show(run['drop']['image_auc'])}"
        for name, run in result["sources"].items()
    ]
    return [*lines, f"  mean drop of the image AUC {show(result['mean_drop']['image_auc'])}"]
