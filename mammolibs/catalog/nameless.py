"""Reasons and lists that leave the machine: how much was left out and why, and nothing that could name a person."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePath

from mammolibs.catalog.source import Skipped
from mammolibs.storage import is_local

_PATH = re.compile(r"(?:\b[A-Za-z]:\\|\b\w+://|(?<![\w/])/)[^:;,()]*")
# What a message quotes comes from a header or a table.
_QUOTED = re.compile(r"(?<!\w)(?:'[^']*'|\"[^\"]*\")(?!\w)")


def anonymous(text: str, names: Iterable[str]) -> str:
    """A reason without what could name a person: the names given, paths, quoted words, and words with a number in them (n)."""
    parts = {part for name in names for part in (name, PurePath(name).name, PurePath(name).stem) if part}
    for name in sorted(parts, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "...", text)
    words = _PATH.sub("...", _QUOTED.sub("...", text)).split()
    return " ".join("..." if "/" in word or "\\" in word else "n" if any(c.isdigit() for c in word) else word for word in words)


def nameless(skipped: Iterable[Skipped]) -> list[Skipped]:
    """As many items, in order of source and reason, without names; what lies in a bucket keeps its address, which nobody else lists."""
    found = [replace(item, item="" if is_local(item.item) else item.item, reason=anonymous(item.reason, (item.item,))) for item in skipped]
    return sorted(found, key=lambda item: (item.source, item.reason, item.on_purpose, item.item))
