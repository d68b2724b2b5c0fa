"""The one gate of training and prediction: an image with its breast, judged by the policy."""

from __future__ import annotations

import numpy as np

from mammolibs.errors import BadFile, Refused
from mammolibs.imaging.acceptance import judge
from mammolibs.prepare import Contract, Located, chest_wall_side, locate
from mammolibs.records import UNKNOWN, BreastPlace, Mammogram, Policy, Verdict


def examine(mammogram: Mammogram, contract: Contract, policy: Policy, use: str) -> tuple[Verdict, Located | None]:
    """The verdict on an image in a use, train or predict, and where its breast lies, None where it was not found.

    Raises BadFile where no breast is found and nothing else speaks against the image.
    """
    try:
        located, missing = locate(mammogram, contract), None
    except BadFile as error:
        located, missing = None, error
    breast = None if located is None else breast_place(located, mammogram.chest_wall)
    verdict = judge(mammogram.facts, use, policy, pixels=mammogram.pixels, breast=breast)
    if missing is not None and not verdict.refused:
        raise missing
    return verdict, located


def admit(mammogram: Mammogram, contract: Contract, policy: Policy, use: str) -> tuple[Verdict, Located]:
    """As `examine`. Raises Refused where the policy refuses the image."""
    verdict, located = examine(mammogram, contract, policy, use)
    if verdict.refused:
        told = "; ".join(f"{reason.code}: {reason.text}" for reason in verdict.decisive)
        flags = " ".join(f"--accept {reason.code}" for reason in verdict.decisive)
        raise Refused(mammogram.facts.source_file, f"refused, {told}", f"leave it out, or take it with {flags}", verdict)
    return verdict, located


def breast_place(located: Located, chest_wall: str = "") -> BreastPlace:
    """As the image is stored; the chest wall as it is known, else where the breast's form alone tells it, whatever the header says."""
    mask = np.ascontiguousarray(located.region.mask[:, ::-1]) if located.mirrored else located.region.mask
    sides = {chest_wall_side(mask, laterality) for laterality in ("L", "R")}
    return BreastPlace(mask=mask, chest_wall=chest_wall or (sides.pop() if len(sides) == 1 else UNKNOWN))
