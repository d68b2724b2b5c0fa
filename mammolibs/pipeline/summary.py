"""What a person sees at the end of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mammolibs.evaluate.result import plural

SHOWN = (
    ("pipeline", "image_auc", "malignant images against the rest, AUC"),
    ("pipeline", "patient_auc", "malignant patients against the rest, AUC"),
    ("pipeline", "sensitivity_at_90_specificity", "sensitivity at 90 % specificity"),
    ("unet", "lesion_sensitivity_at_1_fp", "lesions found at 1 false positive per image"),
    ("unet", "dice", "Dice on lesion images"),
    ("resnet", "patch_auc", "malignant patches against the rest, AUC"),
)


def print_summary(result: dict[str, Any], folder: Path, predict_with: Path, seconds: float) -> None:
    """The main figures with their intervals, and where everything lies."""
    print("\n".join(("", *result.get("not_held_out", ()), f"Held-out patients, 95 % intervals ({seconds / 60:.1f} minutes in all)")))
    for stage, name, words in SHOWN:
        print(f"  {words:46} {figure_text(result.get(stage, {}).get(name))}")
    print(f"Report: {folder / 'report' / 'report.html'}")
    print(f"Try:    python scripts/predict.py IMAGE --run {predict_with}")
    print("Research only. Not a medical device.", flush=True)


def figure_text(figure: dict[str, Any] | None) -> str:
    """An Estimate of report.json in one line."""
    if figure is None:
        return "not computed"
    if figure.get("value") is None:
        return f"none ({figure.get('reason', 'no reason given')})"
    interval = f" [{figure['low']:.3f}, {figure['high']:.3f}]" if figure.get("low") is not None else ""
    return f"{figure['value']:.3f}{interval}  (n {figure['n']} {plural(figure['unit'])}, {figure['events']} events)"
