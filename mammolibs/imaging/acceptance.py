"""The gate: what speaks against an image, by its header, its pixels and where its breast lies.

Asked by what trains and by what predicts, never by what reads: whatever decodes is read.
Nothing is corrected here and nothing is guessed; a reason says what was found, and the
policy says what follows from it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mammolibs.imaging.burned_text import LEAST_LETTERS, burned_in_letters
from mammolibs.records import UNKNOWN, BreastPlace, ImageFacts, Policy, Reason, Verdict

TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
# Storage classes of the breast's radiographs (PS3.4 B.5): mammograms and breast projections, each for presentation and for processing.
MAMMOGRAPHY_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1.2",
    "1.2.840.10008.5.1.4.1.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.13.1.4",
    "1.2.840.10008.5.1.4.1.1.13.1.5",
    TOMOSYNTHESIS,
)
# Plates, detectors and digitised films that say no more of themselves, and pictures that somebody put into DICOM.
OTHER_RADIOGRAPHY = ("CR", "DX", "RG", "OT", "")
# In contact views the breast's middle is magnified by some 5 %; stands begin at 1.5.
MAGNIFIED_FROM = 1.3
LOOK_PIXELS = 256
# On 370 real and synthetic mammograms the brightest tenth of the range holds 0.24 of the image at most; inverted air holds more.
BRIGHT_SHARE = 0.3
DARK_TO_BRIGHT = 0.5


def judge(
    facts: ImageFacts, use: str, policy: Policy = Policy(), *, pixels: np.ndarray | None = None, breast: BreastPlace | None = None
) -> Verdict:
    """The verdict on one image in one use, `train` or `predict`; reasons in the order of their codes.

    pixels: float32 H W in [0, 1] as displayed; without them polarity and text are not
    looked at. breast: where it lies on them; without it neither is the side, nor text.
    """
    found = {code: text for code, check in _BY_HEADER.items() if (text := check(facts))}
    if side := _too_small(facts, policy.least_side_px):
        found["too_small"] = side
    if pixels is not None:
        found |= _by_pixels(facts, np.asarray(pixels, np.float32), breast)
    reasons = tuple(
        Reason(code=code, text=found[code], action=action) for code, action in getattr(policy, use) if code in found and action != "ignore"
    )
    return Verdict(use=use, status="refused" if any(r.action == "refuse" for r in reasons) else "accepted", reasons=reasons)


def inverted(pixels: np.ndarray) -> bool:
    """True where the air is bright: more of the image lies at the bright end of its range than any mammogram's tissue does.

    An image without air (a detail, a breast that fills the film) tells nothing and is not reported.
    """
    step = max(1, min(pixels.shape[:2]) // LOOK_PIXELS)
    small = pixels[::step, ::step]
    low, high = np.percentile(small, (1, 99))
    bright, dark = (small > high - 0.1 * (high - low)).mean(), (small < low + 0.1 * (high - low)).mean()
    return bool(high > low and bright >= BRIGHT_SHARE and dark <= DARK_TO_BRIGHT * bright)


def _by_pixels(facts: ImageFacts, pixels: np.ndarray, breast: BreastPlace | None) -> dict[str, str]:
    found = {}
    if inverted(pixels):
        found["polarity_contradicts_pixels"] = "its air is bright and its tissue dark: it is shown inverted"
    if breast is None:
        return found
    wall, side = _chest_wall(facts), breast.chest_wall
    if UNKNOWN not in (wall, side) and wall != side:
        found["side_contradicts_pixels"] = f"its header puts the chest wall on the {wall}, its pixels show it on the {side}"
    letters = burned_in_letters(pixels, breast.mask)
    if letters >= LEAST_LETTERS:
        text = f"{letters} letters stand in lines outside the breast"
        found["burned_in_text"] = f"{said}; {text}" if (said := _burned_in(facts)) else text
    return found


def _chest_wall(facts: ImageFacts) -> str:
    """left, right or unknown: where the rows run to the front or to the back, else as mammograms are hung."""
    rows = facts.orientation[0] if len(facts.orientation) == 2 else ""
    return {"A": "left", "P": "right"}.get(rows) or {"L": "left", "R": "right"}.get(facts.laterality, UNKNOWN)


def _of_the_breast(facts: ImageFacts) -> bool:
    return facts.sop_class_uid in MAMMOGRAPHY_CLASSES or "BREAST" in facts.body_part.upper() or facts.view != UNKNOWN


def _wrong_modality(facts: ImageFacts) -> str:
    """A radiograph counts as a mammogram where anything says breast; real ones say RG, CR or nothing."""
    if facts.modality == "MG":
        return ""
    if facts.modality not in OTHER_RADIOGRAPHY:
        return f"not a mammogram: its header says modality {facts.modality}"
    if facts.body_part and not _of_the_breast(facts):
        return f"not a mammogram: its header says {facts.body_part}"
    return ""


def _modality_unsure(facts: ImageFacts) -> str:
    dicom = facts.transfer_syntax[:1].isdigit()
    if not dicom or facts.modality == "MG" or facts.modality not in OTHER_RADIOGRAPHY or facts.body_part or _of_the_breast(facts):
        return ""
    return f"its header says modality {facts.modality or 'nothing'} and nowhere that it shows a breast"


def _for_processing(facts: ImageFacts) -> str:
    return "FOR PROCESSING: it has not been processed for display" if facts.presentation_intent == "FOR PROCESSING" else ""


def _spot_or_magnified(facts: ImageFacts) -> str:
    named = [word for word in ("spot", "magnification") if word in facts.view_modifiers]
    if facts.magnification is not None and facts.magnification >= MAGNIFIED_FROM:
        named.append(f"magnified {facts.magnification:g} times")
    return f"it shows a detail and not the breast: {', '.join(named)}" if named else ""


def _implant(facts: ImageFacts) -> str:
    if "implant displaced" in facts.view_modifiers:
        return "its header says that an implant is displaced"
    return "its header says that there is an implant" if facts.implant else ""


def _tomosynthesis(facts: ImageFacts) -> str:
    if facts.sop_class_uid == TOMOSYNTHESIS:
        return "a slice of a tomosynthesis volume"
    return f"one of {facts.frames} frames" if facts.frames > 1 else ""


def _burned_in(facts: ImageFacts) -> str:
    return "its header says that text is burned in" if facts.burned_in else ""


def _lossy(facts: ImageFacts) -> str:
    return "it was compressed with loss" if facts.lossy else ""


def _too_small(facts: ImageFacts, least_px: int) -> str:
    if min(facts.rows, facts.columns) >= least_px:
        return ""
    return f"it has {facts.rows} x {facts.columns} pixels, its shorter side fewer than {least_px}"


_BY_HEADER: dict[str, Callable[[ImageFacts], str]] = {
    "wrong_modality": _wrong_modality,
    "modality_unsure": _modality_unsure,
    "for_processing": _for_processing,
    "unknown_laterality": lambda facts: "nobody says which breast it shows" if facts.laterality == UNKNOWN else "",
    "unknown_view": lambda facts: "nobody says which view it is" if facts.view == UNKNOWN else "",
    "spot_or_magnified": _spot_or_magnified,
    "implant": _implant,
    "tomosynthesis": _tomosynthesis,
    "burned_in_text": _burned_in,
    "lossy": _lossy,
}
