"""What every report has to hold: no figure without unit, n, events and interval or a reason; flows that add up."""

import re

from mammolibs.evaluate.result import FIGURE_FIELDS

# Names of results; a bare number under one of these was printed without what makes it one.
RESULT = re.compile(r"(^|_)(auc|sensitivity|specificity|dice|iou|ppv|npv|recall|recall_rate|brier|precision|accuracy|f1)$")
# Settings and choices: what was asked for, or chosen on validation patients under a rule that stands beside it.
SETTING = re.compile(r"^(target|wanted|asked|promised|least|most|minimum|maximum)_")
# Facts, choices, counts, and what is assumed of a reader.
NO_RESULTS = ("/data", "/provenance", "/runtime", "/thresholds", "/calibrations", "/confusion", "/workflow/reader")


def faults(result):
    """A line for each figure of a report.json that is not whole, and each block that does not name its split."""
    found = []

    def walk(value, path):
        if isinstance(value, dict):
            if _is_figure_like(value) and not path.startswith(NO_RESULTS):
                found.extend(f"{path}: {fault}" for fault in _figure_faults(value))
                return
            if any(_is_figure_like(inner) for inner in value.values()) and not path.startswith(NO_RESULTS):
                found.extend(f"{path}: {fault}" for fault in _block_faults(value))
            for name, inner in value.items():
                walk(inner, f"{path}/{name}")
        elif isinstance(value, list):
            for number, inner in enumerate(value):
                walk(inner, f"{path}/{number}")
        elif isinstance(value, float) and not path.startswith(NO_RESULTS):
            name = path.rpartition("/")[2]
            if RESULT.search(name) and not SETTING.search(name):
                found.append(f"{path}: a bare number")

    walk(result, "")
    return found


def _is_figure_like(value):
    return isinstance(value, dict) and "value" in value and bool({"low", "high", "unit"} & set(value))


def _figure_faults(figure):
    missing = [name for name in FIGURE_FIELDS if name not in figure]
    if missing:
        return [f"without {', '.join(missing)}"]
    told = [f"no {name}" for name in ("unit", "method") if not figure[name]]
    unsaid = [name for name in ("value", "low", "high", "events") if figure[name] is None] + ["n"] * (not figure["n"])
    if unsaid and not figure["reason"]:
        told.append(f"no {', '.join(unsaid)}, and no reason")
    if figure["low"] is not None and not figure["low"] <= figure["value"] <= figure["high"]:
        told.append("outside its interval")
    return told


def _block_faults(block):
    if block.get("split_hash") or block.get("split_reason"):
        return []
    return ["names no split"]


def flow_faults(result):
    """A line for each step of the flow of exclusions that does not add up, or that contradicts the figures."""
    flow, found = result["data"]["flow"], []
    for this, after in zip(flow["steps"], flow["steps"][1:]):
        if this["count"] - _left(this) != after["count"]:
            found.append(f"{this['step']}: {this['count']} less {_left(this)} is not {after['count']}")
    for split, counts in flow["splits"].items():
        if counts["samples"] is not None and counts["images"] - _left(counts) != counts["samples"]:
            found.append(f"{split}: {counts}")
    for fields in flow["figures"]:
        if fields["count"] - _left(fields) != fields["counted"]:
            found.append(f"{fields['figure']}: {fields}")
        figure = result[fields["block"]][fields["figure"]]
        if figure["value"] is not None and figure["n"] != fields["counted"]:
            found.append(f"{fields['figure']}: counted on {figure['n']}, the flow says {fields['counted']}")
    if flow["steps"][-1]["count"] != result["data"]["held_out"]["images"]:
        found.append("its end is not the held-out images")
    return found


def _left(step):
    return sum(reason["count"] for reason in step["left_out"])
