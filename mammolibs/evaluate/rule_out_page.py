"""How the cuts with a promise are shown: patients' scores by class with the cuts, a table of levels, a table of slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mammolibs.evaluate.conformal import RULE_IN, RULE_OUT, Sorted
from mammolibs.evaluate.document import Item, Picture, Section, Table, Text
from mammolibs.evaluate.figures import BLUE, GREY, ORANGE, dress, new_figure, to_png
from mammolibs.evaluate.predictions import Prediction
from mammolibs.evaluate.result import show
from mammolibs.evaluate.units import scores_at

TITLE = "Ruled out, ruled in, left to a reader"
FEW_CANCERS = 10
THEOREM = (
    "A rule-out cut is the k-th lowest score of the validation patients with cancer, k so small that with the stated confidence at most the "
    "stated share of all cancers lies below it, whatever the distribution of the scores (Wilks 1941; conformal prediction by class, Vovk 2012); "
    "the rule-in cut likewise, on patients without cancer. Each level, and each fold, is a promise by itself. It rests on validation patients and later ones "
    "of a class being independent draws from one population. Here the image score was also calibrated, and the best iterations were "
    "chosen, on the same validation patients, which the theorem does not allow for: in a simulation the calibration alone broke such a promise in 6 to "
    "14 of 100 cases where 10 were allowed (scripts/bench.py promise), most where cancers are few. The held-out patients are the test of it. "
    "It promises nothing for a single slice, another site, or the share of cancers among all that are ruled out."
)


def rule_out_section(result: Mapping[str, Any], validation: Sequence[Prediction], table: Sorted) -> Section:
    """result: as `rule_out` gives it. table: the held-out patients with the cuts of result["level"]."""
    items: list[Item] = [Text(_lead(result))]
    if png := scores_figure(validation, table):
        lines = f"; lines: the cuts for at most {_percent(result['level'])}, of each fold its own" if _has_cuts(table) else ", no cuts"
        items.append(Picture("rule_out.png", png, f"Highest image score per patient{lines}."))
    items += [_levels_table(result, bound) for bound in (RULE_OUT, RULE_IN)]
    if result["slices"] and _has_cuts(table):
        items += [Text(f"The cuts for at most {_percent(result['level'])}, by slice:"), _slices_table(result)]
    return Section(TITLE, (*items, Text(THEOREM, "note")))


def _has_cuts(table: Sorted) -> bool:
    return bool(np.isfinite(table.low).any() or np.isfinite(table.high).any())


def _lead(result: Mapping[str, Any]) -> str:
    figures = result["levels"][f"{result['level']:g}"]
    out, missed = figures["ruled_out"], figures["cancers_ruled_out"]
    if out["value"] is None:
        return f"Nobody can be ruled out with a promise: {out['reason'].removeprefix('no cut: ')} for a share of at most {_percent(result['level'])}."
    return (
        f"Cuts chosen so that, with {_percent(result['confidence'])} confidence, at most {_percent(result['level'])} of cancers are ruled out. On held-out "
        f"patients they rule out {show(out)} of all, and {missed['events']} of {missed['n']} cancers, {show(missed)}."
    )


def _levels_table(result: Mapping[str, Any], bound: str) -> Table:
    who, whole, share = {
        RULE_OUT: ("cancers", "ruled_out", "cancers_ruled_out"),
        RULE_IN: ("others", "ruled_in", "others_ruled_in"),
    }[bound]
    rows = []
    for level, figures in result["levels"].items():
        cuts = [cut for cut in result["cuts"] if cut["bound"] == bound and f"{cut['level']:g}" == level]
        verdict = next(c["verdict"] for c in result["checks"] if (c["group"], c["bound"], f"{c['level']:g}") == ("all", bound, level))
        rows.append(
            (
                f"at most {_percent(float(level))} of {who}",
                _several(cuts),
                _cuts(cuts),
                _shown(figures[whole]),
                _shown(figures[share]),
                verdict,
            )
        )
    head = (
        f"{bound}, promised",
        "validation (needed)",
        "cut",
        f"held-out {bound.replace('rule', 'ruled')}",
        f"{who} among them",
        "promise",
    )
    return Table(head, tuple(rows))


def _several(cuts: Sequence[Mapping[str, Any]]) -> str:
    counts = sorted({cut["n"] for cut in cuts})
    told = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} per fold" if counts else "0"
    return f"{told} ({cuts[0]['needed']})" if cuts else told


def _cuts(cuts: Sequence[Mapping[str, Any]]) -> str:
    """The cut, or from the lowest to the highest of the folds', and how many have none."""
    values, without = sorted(cut["value"] for cut in cuts if cut["value"] is not None), sum(cut["value"] is None for cut in cuts)
    if not values:
        return "none"
    told = f"{values[0]:.3g}" if values[0] == values[-1] else f"{values[0]:.3g} to {values[-1]:.3g}"
    return told + (f", none in {without} of {len(cuts)} folds" if without else "")


def _slices_table(result: Mapping[str, Any]) -> Table:
    rows = []
    for name, figures in result["slices"].items():
        missed, verdict = (
            figures["cancers_ruled_out"],
            next(c["verdict"] for c in result["checks"] if (c["group"], c["bound"]) == (name, RULE_OUT)),
        )
        few = f"only {missed['n']} cancers: says nothing" if missed["n"] < FEW_CANCERS else verdict
        rows.append((name, _shown(figures["ruled_out"]), _shown(missed), few, _shown(figures["others_ruled_in"])))
    return Table(("slice", "ruled out", "cancers among them", "promise", "others ruled in"), tuple(rows))


def _shown(fields: Mapping[str, Any]) -> str:
    if fields["value"] is None:
        return "no cut" if fields["reason"].startswith("no cut") else show(fields)
    return f"{fields['events']} of {fields['n']}: {show(fields)}"


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def scores_figure(validation: Sequence[Prediction], table: Sorted) -> bytes | None:
    """Patients' scores by class, one dot each, validation above held-out, with the cuts; None without held-out patients."""
    if not len(table.labels):
        return None
    figure, (axes,) = new_figure(8.2, 3.3)
    before = [scores_at("patient", [p for p in validation if p.fold == fold]) for fold in sorted({p.fold for p in validation})]
    lanes = [
        ("validation, no cancer", np.concatenate([s.scores[s.labels == 0] for s in before] or [[]]), BLUE, 0.35),
        ("validation, cancer", np.concatenate([s.scores[s.labels == 1] for s in before] or [[]]), ORANGE, 0.35),
        ("held out, no cancer", table.scores[table.labels == 0], BLUE, 0.7),
        ("held out, cancer", table.scores[table.labels == 1], ORANGE, 0.7),
    ]
    rng = np.random.default_rng(0)
    is_share = all(len(s) == 0 or (s.min() >= 0 and s.max() <= 1) for _, s, _, _ in lanes)
    for height, (_, scores, colour, alpha) in enumerate(lanes[::-1]):
        shown = np.clip(scores, 1e-3, 1 - 1e-3) if is_share else scores
        axes.scatter(shown, height + rng.uniform(-0.3, 0.3, len(scores)), s=9, color=colour, alpha=alpha, linewidth=0)
    for cuts, style in ((table.low, "-"), (table.high, "--")):
        for cut in np.unique(cuts[np.isfinite(cuts)]):
            axes.axvline(np.clip(cut, 1e-3, 1 - 1e-3) if is_share else cut, color=GREY, linewidth=1.2, linestyle=style)
    told = " and the cuts (solid: rule out below; dashed: rule in above)" if _has_cuts(table) else ""
    dress(axes, f"Patients' scores{told}", "highest image score", "")
    if is_share:
        axes.set_xscale("logit")
        axes.set_xticks([0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999], labels=["0.001", "0.01", "0.1", "0.5", "0.9", "0.99", "0.999"])
        axes.minorticks_off()
    axes.set_yticks(range(4), labels=[f"{name} ({len(scores)})" for name, scores, _, _ in lanes[::-1]])
    return to_png(figure)
