"""What a source is, and what it hands back."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.records import ImageRow

# FOR PROCESSING and FOR PRESENTATION images of one exposure: the second only, or the first too, as its copy.
TWIN_OPTIONS = ("presentation", "both")
# A breast that nobody marked in a case with a finding in the other one: its label is not known, or it is assumed to be normal.
OTHER_BREAST_OPTIONS = ("unknown", "normal")
# Among the values of an option it allows every text; the source says itself where one does not fit.
ANY = "*"


@dataclass(frozen=True)
class Skipped:
    """An item that is there and is not in the catalog. `on_purpose`: left out by rule, not for a fault."""

    item: str
    reason: str
    source: str = ""
    on_purpose: bool = False


@dataclass
class SourceResult:
    """What one source says of one folder.

    absent: images that the label table lists and the disk lacks. notes: what a reader of
    the catalog must know of it, one sentence each.
    """

    rows: list[ImageRow] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    absent: int = 0
    notes: list[str] = field(default_factory=list)

    def skip(self, item: str | Path, reason: str, *, on_purpose: bool = False) -> None:
        """Count an item as skipped."""
        self.skipped.append(Skipped(str(item), reason, on_purpose=on_purpose))

    def note_count(self, count: int, text: str) -> None:
        """A note with a count; nothing where the count is 0."""
        if count:
            self.notes.append(f"{text}: {count}")


@dataclass(frozen=True)
class Source:
    """A data set's reader. Call it with a folder and options; see `SOURCES`.

    accepts: codes of acceptance that say nothing against an image of this set, because all of it is so: no mammograms, for instance.
    options: name -> the values allowed, the default first; with `ANY` among them every text is.
    lists: endings, in lower case, of a file that may be given in place of its folder: a table, a DICOMDIR.
    listed: a row without a file for every image that the label tables name, in each part of the
    official split that it stands in; None where tables do not tell. private_ids: its ids are those of
    patients of the user's own, and no catalog keeps them: `build_catalog` puts pseudonyms in their place.
    mirrored_places: some of its boxes were drawn on mirrored copies; they are laid on the breast where pixels are read.
    technology: "film" or "digital" where all images of the data set are so; else its rows or the files say it, or nobody.
    """

    name: str
    title: str
    read: Callable[[Path, Mapping[str, str]], SourceResult]
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    accepts: tuple[str, ...] = ()
    listed: Callable[[Path], list[ImageRow]] | None = None
    lists: tuple[str, ...] = ()
    private_ids: bool = False
    mirrored_places: bool = False
    technology: str = ""

    def __call__(self, root: str | Path, options: Mapping[str, str] | None = None) -> SourceResult:
        """The rows of a folder. Raises BadConfig for an option, BadFile for a folder or table that cannot be used."""
        chosen = {key: allowed[0] for key, allowed in self.options.items()}
        for key, value in (options or {}).items():
            if key not in self.options:
                near = difflib.get_close_matches(key, self.options, n=1, cutoff=0.5)
                raise BadConfig(
                    f"{self.name}.{key}: no such option of this source"
                    + (f"; did you mean {near[0]}" if near else "")
                    + f"; it has {', '.join(self.options) or 'none'}"
                )
            if value not in self.options[key] and ANY not in self.options[key]:
                raise BadConfig(f"{self.name}.{key}={value}: not allowed; choose one of {', '.join(self.options[key])}")
            chosen[key] = value
        result = self.read(Path(root), chosen)
        if self.technology:
            result.rows = [replace(row, technology=self.technology) for row in result.rows]
        if self.accepts:
            result.notes.append(f"its images are taken in spite of {', '.join(self.accepts)}, by the nature of this set")
        return result


def collect(result: SourceResult, items: Iterable[Any], make: Callable[[Any], ImageRow], *, describe: Callable[[Any], str | Path]) -> None:
    """Add `make(item)` to the rows, item by item; one that raises BadFile or BadData is skipped with its reason."""
    for item in items:
        try:
            result.rows.append(make(item))
        except BadFile as error:
            result.skip(describe(item), error.problem)
        except BadData as error:
            result.skip(describe(item), str(error))
