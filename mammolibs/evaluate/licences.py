"""What the licence of a data set forbids and asks for, read off its short name; the licence's own text decides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# Pattern in the licence as the catalog names it -> what it forbids.
FORBIDS: tuple[tuple[str, str], ...] = (
    (r"\bBY-NC\b|non-?commercial", "any commercial use, of weights trained on it too"),
    (r"no weights", "releasing weights or embeddings trained on it without the owner's written permission"),
    (r"\bBY(-NC)?-ND\b", "passing on changed copies"),
    (r"not to be passed on|pass nothing on|no part may be passed on|Restricted Health Data", "passing on images or labels"),
    (
        r"research only|for research|research agreement|non-commercial research|Restricted Health Data",
        "any use but research, of weights trained on it too",
    ),
    (r"agreement says|by application", "any use that your own agreement does not name"),
    (r"conflicting", "relying on any of its licences before the authors have been asked: those in circulation contradict each other"),
)
ASKS: tuple[tuple[str, str], ...] = (
    (r"\bCC BY\b|\bcite\b", "naming the source wherever results or weights are shown"),
    (r"\bBY(-NC)?-SA\b", "the same licence for what is made from it"),
)
FREE = r"^synthetic$|\bCC0\b|public domain"
UNKNOWN_TERMS = "not known to this library: read the licence before using or passing on weights trained on it"


def licence_terms(licence: str) -> dict[str, list[str]]:
    """{"forbids": [...], "asks": [...]} in words; a licence that no rule knows forbids nothing that we could name, and says so.

    A free one forbids nothing: "synthetic" is what this library makes itself.
    """
    forbids = [words for pattern, words in FORBIDS if re.search(pattern, licence, re.IGNORECASE)]
    asks = [words for pattern, words in ASKS if re.search(pattern, licence, re.IGNORECASE)]
    if not forbids and not asks and not re.search(FREE, licence, re.IGNORECASE):
        forbids = [UNKNOWN_TERMS]
    return {"forbids": forbids, "asks": asks}


def weights_terms(licences: Iterable[str]) -> dict[str, list[str]]:
    """What binds weights that were trained on all of these: everything that any of them forbids or asks for. No advice of a lawyer."""
    terms: list[Mapping[str, list[str]]] = [licence_terms(licence) for licence in licences]
    return {kind: list(dict.fromkeys(words for term in terms for words in term[kind])) for kind in ("forbids", "asks")}
