"""What may and what may not be concluded from these figures, in sentences, from rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WIDE = 0.15
FEW_EVENTS = 30
SUSPICIOUS_AUC = 0.97


def conclusions(result: Mapping[str, Any]) -> list[str]:
    """Sentences for the report, each from one stated rule over the figures."""
    pipeline = result["pipeline"]
    auc = pipeline["image_auc"]
    inside = {groups: pipeline[name] for groups in ("folds", "sources") if (name := f"image_auc_within_{groups[:-1]}") in pipeline}
    sentences = [_against_chance(auc, inside), *_power(auc), *_detection(result["unet"]), *_outside(result.get("provenance", {}))]
    if "folds" in result:
        sentences.append(
            "The intervals hold the folds' networks as they were trained. Training again would move the figures further than they say: "
            "the folds share most of their training patients."
        )
    for level in ("image_auc", "patient_auc"):
        fields = pipeline[level]
        if fields["value"] is not None and fields["value"] > SUSPICIOUS_AUC:
            sentences.append(
                f"The {level.replace('_', ' ')} of {fields['value']:.2f} is higher than honest results on clinical data: "
                "look for a leak (the same patient on both sides, labels in file names or markers) before believing it."
            )
    data = result.get("data", {})
    if data.get("synthetic") or "synthetic" in data.get("truth", ()):
        sentences.append("All or part of the data is synthetic: nothing here says how the pipeline does on patients.")
    if (looks := data.get("looks_at_this_test_set") or 0) > 1:
        sentences.append(
            f"This test set has been looked at {looks} times, this one included. Whatever was changed after an earlier look was "
            "chosen with it in view: read the intervals as lower bounds of the uncertainty."
        )
    sentences += _elsewhere(result.get("external"))
    return [s for s in sentences if s]


def _against_chance(auc: Mapping[str, Any], inside: Mapping[str, Mapping[str, Any]]) -> str:
    """inside: "folds" or "sources" -> the mean of the AUC within them, which pooling may flatter."""
    if auc["value"] is None:
        return f"The image AUC cannot be computed: {auc['reason']}."
    if auc["low"] is None:
        return f"The image AUC has no interval ({auc['reason']}): nothing can be concluded from it."
    interval = f"[{auc['low']:.2f}, {auc['high']:.2f}]"
    for groups, mean in inside.items():
        if auc["low"] > 0.5 and (mean["low"] is None or mean["low"] <= 0.5):
            held = mean["reason"] if mean["low"] is None else f"[{mean['low']:.2f}, {mean['high']:.2f}], holds it"
            return (
                f"It is not shown that the image score tells malignant images from the rest: the pooled interval {interval} lies above 0.5, "
                f"but that of the mean within {groups}, {held}."
            )
    if auc["low"] > 0.5:
        return f"Images with a malignant lesion score higher than the rest: the interval of the image AUC, {interval}, lies above 0.5."
    if auc["high"] < 0.5:
        return f"Malignant images score LOWER than the rest: the interval {interval} lies below 0.5; look for a swapped label or sign."
    return f"It is not shown that the image score tells malignant images from the rest: the interval {interval} holds 0.5."


def _power(auc: Mapping[str, Any]) -> list[str]:
    sentences = []
    if auc["value"] is not None and auc["low"] is not None and auc["high"] - auc["low"] > WIDE:
        half = (auc["high"] - auc["low"]) / 2
        sentences.append(
            f"The image AUC of these networks is known to about +-{half:.2f} ({auc['n']} images, {auc['events']} malignant): "
            "two models that differ by less can hardly be told apart on this set."
        )
    if auc["events"] is not None and 0 < auc["events"] < FEW_EVENTS:
        sentences.append(
            f"There are only {auc['events']} malignant images: sensitivities move by {100 / auc['events']:.0f} points with each single one, "
            "and no subgroup can be judged."
        )
    return sentences


def not_held_out(provenance: Mapping[str, Any]) -> list[str]:
    """A warning for each thing that test patients share with training. provenance: of one run, or fold -> that of its run."""
    found = [(f"{fold}: ", of_fold) for fold, of_fold in provenance.items() if isinstance(of_fold, Mapping) and "touched" in of_fold]
    return [
        f"NOT HELD OUT, evaluated by force. {fold}{offence}: these figures are better than on patients whom nothing has seen."
        for fold, run in [("", provenance), *found]
        for offence in run.get("touched", ())
    ]


def _outside(provenance: Mapping[str, Any]) -> list[str]:
    """provenance: of one run, or fold -> that of its run."""
    runs = [provenance, *(v for v in provenance.values() if isinstance(v, Mapping))]
    files = {name for run in runs for name in run.get("weights_from_elsewhere", {}).values()}
    unknown = {name for run in runs for name in run.get("seen_unknown", run.get("weights_from_elsewhere", {}).values())}
    known = files - unknown if not not_held_out(provenance) else set()
    sentences = {name: "made elsewhere: whether it has seen any of these patients is not known" for name in unknown}
    sentences |= {name: "made on another split: by their ids none of these patients is among those that it has seen" for name in known}
    return [f"Training began with {name}, {what}." for name, what in sorted(sentences.items())]


def _elsewhere(external: Mapping[str, Any] | None) -> list[str]:
    """external: as `external.beside_internal` gives it, None where all patients come from home."""
    if external is None:
        return [
            "Nothing here says how the pipeline does at another site, with other machines or at another share of ill patients: "
            "no data from elsewhere was looked at."
        ]
    here, home = " and ".join(external["sources"]), " and ".join(external["internal_sources"])
    return [
        f"These patients come from elsewhere: from {here}, of which training had nothing. {_drop(external, home)}",
        f"Nothing here says how the pipeline does at sites other than {here}, or at another share of ill patients.",
    ]


def _drop(external: Mapping[str, Any], home: str) -> str:
    fields, inside, outside = (external[part]["image_auc"] for part in ("drop", "internal", "external"))
    if fields["value"] is None or fields["low"] is None:
        return f"How far the image AUC falls against held-out patients of {home} is not known: {fields['reason']}."
    values = f"{outside['value']:.2f} here, {inside['value']:.2f} on held-out patients of {home}"
    interval = f"[{fields['low']:.2f}, {fields['high']:.2f}]"
    if fields["low"] > 0:
        return f"The image AUC is lower here ({values}): the drop of {fields['value']:.2f} {interval} is more than chance."
    if fields["high"] < 0:
        return f"The image AUC is higher here ({values}): by {-fields['value']:.2f}, drop {interval}."
    return f"No drop of the image AUC is shown ({values}): its interval {interval} holds 0, and holds drops of up to {fields['high']:.2f} as well."


def _detection(unet: Mapping[str, Any]) -> list[str]:
    fields = unet.get("lesion_sensitivity_at_1_fp", {"value": None})
    if fields["value"] is None or fields["low"] is None:
        return []
    return [
        f"With one false positive per image, between {100 * fields['low']:.0f} and {100 * fields['high']:.0f} % of lesions like these "
        f"are found ({fields['n']} lesions seen)."
    ]
