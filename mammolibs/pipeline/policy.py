"""The acceptance policy of a call: what stands, with what a file and flags change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from mammolibs.catalog import SOURCES
from mammolibs.errors import BadConfig, BadFile
from mammolibs.pipeline.cli import option
from mammolibs.records import Policy
from mammolibs.storage import open_store, seal, unseal

POLICY_NAME = "policy.json"
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


def policy_of_sources(names: Iterable[str]) -> Policy:
    """The policy that stands for these sources: the default, without what is in the nature of one of them (`Source.accepts`)."""
    policy = Policy()
    for code in sorted({code for name in set(names) & set(SOURCES) for code in SOURCES[name].accepts}):
        policy = policy.accepting(code)
    return policy


def keep_policy(shards: str | Path, policy: Policy) -> None:
    """Note beside the shard sets in `shards`, a folder or an address, under which policy they were made."""
    open_store(shards).write(POLICY_NAME, seal(policy.to_dict()))


def shards_policy(shards: str | Path) -> Policy:
    """The policy that the shard sets in `shards` were made under; the default where nothing says so. Raises BadFile for a damaged note."""
    store = open_store(shards)
    if not store.exists(POLICY_NAME):
        return Policy()
    try:
        return Policy().changed(unseal(store.read(POLICY_NAME)))
    except ValueError as error:
        raise BadFile(f"{store.location}/{POLICY_NAME}", f"is damaged ({error})", "make the shards again") from error
