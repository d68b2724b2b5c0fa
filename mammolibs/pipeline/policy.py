"""The acceptance policy of a call: what stands, with what a file and flags change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mammolibs.errors import BadConfig, BadFile
from mammolibs.pipeline.cli import option
from mammolibs.records import Policy

ACCEPT = {"metavar": "CODE", "repeat": True, "parse": str}


def policy_option() -> str | None:
    return option(None, "JSON file that says which images are refused, see docs/data.md", metavar="FILE")


def accept_option() -> tuple[str, ...]:
    return option((), "take images that are refused for this reason, such as spot_or_magnified; may be given several times", **ACCEPT)


def read_policy(file: str | None, accept: Sequence[str], base: Policy = Policy()) -> Policy:
    """The policy `base`, changed by a policy file, then by `--accept`; both may be none.

    Raises BadFile for a file that cannot be read or says what no policy says, BadConfig for a code that is none.
    """
    policy = base
    if file is not None:
        try:
            policy = policy.changed(json.loads(Path(file).read_text()))
        except (OSError, ValueError) as error:
            raise BadFile(file, f"is no policy ({error})", 'write it such as {"train": {"implant": "refuse"}}') from error
    for code in accept:
        try:
            policy = policy.accepting(code)
        except ValueError as error:
            raise BadConfig(f"--accept {code}: {error}") from error
    return policy
