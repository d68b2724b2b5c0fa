"""Finding a data set's files in whatever folder the user has them in."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from mammolibs.errors import BadFile
from mammolibs.storage import is_archive

_PACKED = (".xz", ".gz")


class Layout:
    """All files under a folder, once walked, found by name, stem or folder.

    Names compare without case. Hidden folders and `__MACOSX` are not entered. Symbolic
    links to folders are not followed. A root that is a file stands for its folder with nothing
    else in it, which is not walked.

    Raises BadFile where there is no such folder, or nothing in it.
    """

    def __init__(self, root: str | Path):
        from mammolibs.imaging import is_image_name

        self.root = Path(root).absolute()
        walked = self._walk()
        if self.root.is_file():
            self.root, walked = self.root.parent, iter([(self.root.parent, [self.root.name])])
        elif not self.root.is_dir():
            raise BadFile(root, "is no folder", "give the folder that holds the data set, or its archive")
        self.files: list[Path] = []
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        self._by_folder: dict[str, list[Path]] = defaultdict(list)
        for folder, names in walked:
            above = [part.lower() for part in folder.relative_to(self.root).parts]
            for name in names:
                path = folder / name
                self.files.append(path)
                self._by_name[_plain(name)].append(path)
                if is_image_name(name):
                    self._by_stem[path.stem.lower()].append(path)
                    for part in above:
                        self._by_folder[part].append(path)
        if not self.files:
            raise BadFile(root, "is an empty folder", "give the folder that holds the data set")

    def images(self, stem: str) -> list[Path]:
        """Image files of this name without ending: DICOM before copies in other formats, then the shortest path first."""
        return sorted(self._by_stem.get(stem.lower(), ()), key=_choice)

    def images_in(self, folder: str) -> list[Path]:
        """Image files below any folder of this name."""
        return self._by_folder.get(folder.lower(), [])

    def images_like(self, pattern: re.Pattern) -> Iterator[tuple[re.Match, Path]]:
        """Image files whose whole name without ending fits a pattern, with what it found; in the order of `images`."""
        for path in sorted((path for paths in self._by_stem.values() for path in paths), key=_choice):
            if found := pattern.fullmatch(path.stem):
                yield found, path

    def table(self, name: str) -> Path | None:
        """A label table of this name, packed or not; blanks, hyphens and underscores count alike."""
        found = [p for ending in ("", *_PACKED) for p in self._by_name.get(_plain(name + ending), ())]
        return min(found, key=lambda p: (len(p.parts), p), default=None)

    def need_table(self, name: str) -> Path:
        """As `table`. Raises BadFile where it is missing, and says so where an archive lies there in its place."""
        found = self.table(name)
        if found is None:
            raise BadFile(self.root, f"holds no {name}", self._archive_hint() or "put it beside the images, or give the folder above")
        return found

    def refuse_empty(self, what: str) -> BadFile:
        """The error for a folder that holds no image of a data set."""
        return BadFile(self.root, f"holds no image of {what}", self._archive_hint() or "give the folder that holds the images")

    def relative(self, path: Path) -> str:
        """The path below the root, with "/"."""
        return path.relative_to(self.root).as_posix()

    def _archive_hint(self) -> str:
        archives = [path for path in self.files if is_archive(path)]
        return f"the archive {archives[0].name} lies in it: give that as the path" if archives else ""

    def _walk(self) -> Iterator[tuple[Path, list[str]]]:
        for folder, subfolders, names in os.walk(self.root):
            subfolders[:] = sorted(s for s in subfolders if not s.startswith(".") and s != "__MACOSX")
            yield Path(folder), sorted(name for name in names if not name.startswith("."))


def _choice(path: Path) -> tuple:
    from mammolibs.imaging.files import PLAIN_ENDINGS

    return path.suffix.lower() in PLAIN_ENDINGS, len(path.parts), path


def _plain(name: str) -> str:
    return re.sub(r"[ _-]+", "_", name.strip().lower())
