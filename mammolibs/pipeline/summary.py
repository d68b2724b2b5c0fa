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


def print_seeds(result: dict[str, Any], folder: Path, seconds: float) -> None:
    """The main figures of all seeds, how far they lie apart, and where everything lies."""
    print(f"\nHeld-out patients, {len(result['runs'])} seeds ({seconds / 60:.1f} minutes in all)")
    for stage, name, words in SHOWN:
        values = [value for value in result["values"].get(stage, {}).get(name, ()) if value is not None]
        deviation = result["training_noise"].get(stage, {}).get(name, {}).get("value")
        spread = "" if deviation is None else f"  (standard deviation {deviation:.3f})"
        print(f"  {words:46} {' '.join(f'{value:.3f}' for value in values) or 'not computed'}{spread}")
    print(f"Report: {folder / 'report' / 'report.html'}")
    print(f"Try:    python scripts/predict.py IMAGE --run {folder / 'seeds' / '0'}")
    print("Research only. Not a medical device.", flush=True)
