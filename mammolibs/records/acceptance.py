"""Whether an image is one that the pipeline is for: what was found against it, and what a policy makes of that."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

USES = ("train", "predict")
ACTIONS = ("refuse", "warn", "ignore")
LEAST_SIDE_PX = 192
# Code -> what happens to such an image in training and in prediction, where nobody says otherwise. An image that is
# refused in training and not in prediction is one that a network should not learn from and can still say something of.
DEFAULT_ACTIONS: dict[str, tuple[str, str]] = {
    "wrong_modality": ("refuse", "refuse"),
    "modality_unsure": ("warn", "warn"),
    "for_processing": ("warn", "warn"),
    "unknown_laterality": ("warn", "warn"),
    "unknown_view": ("warn", "warn"),
    "spot_or_magnified": ("refuse", "warn"),
    "implant": ("warn", "warn"),
    "tomosynthesis": ("warn", "warn"),
    "burned_in_text": ("warn", "warn"),
    "lossy": ("warn", "warn"),
    "too_small": ("refuse", "refuse"),
    "side_contradicts_pixels": ("warn", "warn"),
    "polarity_contradicts_pixels": ("refuse", "refuse"),
}
CODES = tuple(DEFAULT_ACTIONS)


def check_code(code: str) -> None:
    """Raises ValueError, naming the nearest, for what is no code."""
    _check("code", code, CODES)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What happens to an image with a reason against it: (code, action) of every code, per use.

    Actions: refuse (it is not used), warn (it is used, and the reason is told), ignore (as
    if it had not been found). least_side_px: an image whose shorter side has fewer pixels
    is too small.
    """

    train: tuple[tuple[str, str], ...] = tuple((code, actions[0]) for code, actions in DEFAULT_ACTIONS.items())
    predict: tuple[tuple[str, str], ...] = tuple((code, actions[1]) for code, actions in DEFAULT_ACTIONS.items())
    least_side_px: int = LEAST_SIDE_PX

    def action(self, use: str, code: str) -> str:
        """refuse, warn or ignore."""
        return dict(getattr(self, use))[code]

    def to_dict(self) -> dict[str, Any]:
        """As a policy file holds it."""
        return {"train": dict(self.train), "predict": dict(self.predict), "least_side_px": self.least_side_px}

    def changed(self, values: Mapping[str, Any]) -> Policy:
        """The policy with what `values`, in the form of `to_dict`, says otherwise; what it leaves out stays.

        Raises ValueError, naming the nearest that is allowed, for a use, a code, an action or a size that is none.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"expected an object with {', '.join(USES)} or least_side_px")
        for name in values:
            _check("name", name, (*USES, "least_side_px"))
        side = values.get("least_side_px", self.least_side_px)
        if isinstance(side, bool) or not isinstance(side, int) or side < 0:
            raise ValueError(f"least_side_px is {side!r}, expected a number of pixels, such as {LEAST_SIDE_PX}")
        return Policy(**{use: _changed(use, getattr(self, use), values.get(use, {})) for use in USES}, least_side_px=side)

    def accepting(self, code: str) -> Policy:
        """The policy that refuses no image for this code: what was refused is told. Raises ValueError for what is no code."""
        check_code(code)
        return self.changed({use: {code: "warn"} for use in USES if self.action(use, code) == "refuse"})


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One thing that speaks against an image: its code, the same in one sentence, and what the policy makes of it."""

    code: str
    text: str
    action: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the gate says of one image. use: train or predict. status: accepted or refused; reasons of both kinds."""

    use: str
    status: str
    reasons: tuple[Reason, ...] = ()

    @property
    def refused(self) -> bool:
        return self.status == "refused"

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(reason.code for reason in self.reasons)

    @property
    def decisive(self) -> tuple[Reason, ...]:
        """The reasons for which it is refused; none where it is accepted."""
        return tuple(reason for reason in self.reasons if reason.action == "refuse")


@dataclass(frozen=True, kw_only=True, eq=False)
class BreastPlace:
    """Where the breast lies on an image.

    mask: bool, one cell for each square of pixels, the whole image at any scale. chest_wall: left or right,
    unknown where the breast's form alone does not tell.
    """

    mask: Any
    chest_wall: str


def _changed(use: str, kept: tuple[tuple[str, str], ...], said: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(said, Mapping):
        raise ValueError(f'{use}: expected codes with their actions, such as {{"implant": "refuse"}}')
    for code, action in said.items():
        check_code(code)
        _check(f"action of {code}", action, ACTIONS)
    return tuple((code, said.get(code, action)) for code, action in kept)


def _check(what: str, word: Any, allowed: tuple[str, ...]) -> None:
    if word not in allowed:
        near = difflib.get_close_matches(str(word), allowed, n=1, cutoff=0.4)
        raise ValueError(f"{what} is {word!r}, allowed are {', '.join(allowed)}" + (f"; did you mean {near[0]}" if near else ""))
