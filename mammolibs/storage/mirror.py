"""A local folder whose files are kept in a cloud folder too, so that another machine can go on with them.

Work is done in the folder, at the speed and with the locks of a disk. `send` brings over what has
changed; an index beside the files, written last and only where nobody else has written it, says what
belongs together. Who sends for the first time claims the cloud folder before, by writing the index as it
is. So of two processes that write to one cloud folder the one that came later goes on, and the other is
told and writes over nothing; of two that begin at the same time the one that was first to claim.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import google_crc32c
from tqdm import tqdm

from mammolibs.errors import BadFile
from mammolibs.storage.places import alone, cache_folder, is_key, is_local
from mammolibs.storage.store import ChangedByAnother, GuardedStore, open_store, write_atomic, write_json

INDEX_NAME = "mirror-index.json"
NOTE_NAME = ".mirror.json"
UNSENT_NAME = ".unsent"
LOCK_NAME = ".mirror.lock"


@dataclass(frozen=True)
class Mirrored:
    """A file as it was when both sides last agreed on it: crc32c of its bytes; size and time of change of the local copy."""

    crc32c: int
    size: int
    mtime_ns: int


class Mirror:
    """`folder`, and its copy in `store`. Names that begin with a dot stay local, and so do keys of pseudonyms.

    Raises BadFile where the folder is the copy of another cloud folder.
    """

    def __init__(self, folder: Path | str, store: GuardedStore):
        self.folder, self.store = Path(folder), store
        self.generation, self.files, self.is_own = 0, {}, False
        self._load_note()

    def fetch(self) -> None:
        """Make the folder what the cloud folder holds.

        Files that are newer here, because a machine stopped before it had sent them, stay. Where another machine
        has gone on since, they are moved to `.unsent/` and that is said. Several processes of one machine may
        fetch at the same time.

        Raises BadFile for an index that is damaged, and what the store raises.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with alone(self.folder / LOCK_NAME):
            is_copy = self._load_note()
            there, generation = self._read_index()
            if is_copy and generation == self.generation:
                return
            local = self._local()
            # Where the cloud folder is empty, nothing that lies here is dropped as known.
            known = {name: file.crc32c for name, file in self.files.items()} if generation else {}
            self._set_aside([name for name, path in local.items() if self._crc32c(name, path) not in (known.get(name), there.get(name))])
            self._agree(self._bring(there, local), generation, is_own=False)

    def send(self) -> None:
        """Bring over what has changed since the last time, oldest first; then remove what is gone here.

        Raises BadFile where another process has written to the cloud folder since, and what the store raises; the
        cloud folder's index then still names what belongs together.
        """
        self._check_own()
        sent: dict[str, Mirrored] = {}
        for name, path in sorted(self._local().items(), key=lambda item: _changed(item[1])):
            try:
                sent[name] = self._sent(name, path)
            except FileNotFoundError:
                # Removed since it was listed: training goes on meanwhile.
                continue
        if sent == self.files:
            return
        gone = [name for name in self.files if name not in sent]
        self._write_index(sent)
        for name in gone:
            self.store.delete(name)

    def _write_index(self, files: dict[str, Mirrored]) -> None:
        index = {"files": {name: file.crc32c for name, file in sorted(files.items())}}
        try:
            generation = self.store.write_if(INDEX_NAME, json.dumps(index).encode(), self.generation)
        except ChangedByAnother as error:
            raise self._taken_over() from error
        self._agree(files, generation, is_own=True)

    def _check_own(self) -> None:
        if self.store.generation(INDEX_NAME) != self.generation:
            raise self._taken_over()

    def _upload(self, name: str, data: bytes) -> None:
        """Write an object, over nothing that another has written since it claimed the cloud folder."""
        if not self.is_own:
            # Others may have fetched this very index; whoever writes it first makes it another.
            self._write_index(self.files)
        while True:
            seen = self.store.generation(name)
            # After the look: who claims the folder from here on writes objects that are newer than what was seen.
            self._check_own()
            with contextlib.suppress(ChangedByAnother):
                self.store.write_if(name, data, seen)
                return

    def _sent(self, name: str, path: Path) -> Mirrored:
        """The file as it is in the cloud folder, now at the latest."""
        if same := self._same(name, path):
            return same
        looks, data = _looks(path, 0), path.read_bytes()
        crc32c = google_crc32c.value(data)
        if name not in self.files or self.files[name].crc32c != crc32c:
            self._upload(name, data)
        return replace(looks, crc32c=crc32c)

    def _bring(self, there: dict[str, int], local: dict[str, Path]) -> dict[str, Mirrored]:
        """The files of the index, here now at the latest; others are removed."""
        sums = {name: self._crc32c(name, path) for name, path in local.items() if path.exists()}
        missing = [name for name, crc32c in there.items() if sums.get(name) != crc32c]
        for name in tqdm(missing, desc=f"fetch {self.store.location}", unit="file", delay=2.0, leave=False):
            data = self.store.read(name)
            # What it is, not what the index says: a machine may have been stopped between writing the two.
            sums[name] = google_crc32c.value(data)
            write_atomic(self.folder / name, data)
        for name in set(sums) - set(there):
            local[name].unlink()
        return {name: _looks(self.folder / name, sums[name]) for name in there}

    def _read_index(self) -> tuple[dict[str, int], int]:
        """(crc32c by name, generation) of the cloud folder; ({}, 0) where it is empty."""
        if not self.store.exists(INDEX_NAME):
            return {}, 0
        text, generation = self.store.read_with_generation(INDEX_NAME)
        try:
            return {str(name): int(crc32c) for name, crc32c in json.loads(text)["files"].items()}, generation
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadFile(
                f"{self.store.location}/{INDEX_NAME}", f"is damaged ({error})", "take another folder, or delete it to start anew"
            ) from error

    def _taken_over(self) -> BadFile:
        remedy = f"stop one of the two; what was not sent lies in {self.folder}"
        return BadFile(self.store.location, "is in use by another process, which has written to it since", remedy)

    def _set_aside(self, names: list[str]) -> None:
        if not names:
            return
        number = 1 + sum(1 for _ in self.folder.glob(f"{UNSENT_NAME}/*"))
        aside = self.folder / UNSENT_NAME / str(number)
        for name in names:
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(self.folder / name, aside / name)
        print(f"{self.store.location}: has changed since; {len(names)} file(s) that were not sent from here now lie in {aside}", flush=True)

    def _local(self) -> dict[str, Path]:
        found = {path.relative_to(self.folder).as_posix(): path for path in self.folder.rglob("*") if path.is_file()}
        shown = {name: path for name, path in found.items() if not any(part.startswith(".") for part in name.split("/"))}
        return {name: path for name, path in shown.items() if not is_key(path)}

    def _same(self, name: str, path: Path) -> Mirrored | None:
        """What is known of the file, where it looks as it did."""
        known = self.files.get(name)
        return known if known and known == _looks(path, known.crc32c) else None

    def _crc32c(self, name: str, path: Path) -> int:
        same = self._same(name, path)
        return same.crc32c if same else google_crc32c.value(path.read_bytes())

    def _load_note(self) -> bool:
        """Read what both sides last agreed on; False where they never did."""
        note = _read_note(self.folder)
        if note is None:
            return False
        if note["location"] != self.store.location:
            raise BadFile(self.folder, f"is the copy of {note['location']}, not of {self.store.location}", "take another folder")
        self.generation, self.is_own = note["generation"], note.get("is_own", False)
        self.files = {name: Mirrored(**file) for name, file in note["files"].items()}
        return True

    def _agree(self, files: dict[str, Mirrored], generation: int, *, is_own: bool) -> None:
        """Note what both sides agree on, and whether the index there was written from here."""
        self.files, self.generation, self.is_own = files, generation, is_own
        known = {name: asdict(file) for name, file in files.items()}
        write_json(self.folder / NOTE_NAME, {"location": self.store.location, "generation": generation, "is_own": is_own, "files": known})


def working_copy(location: str) -> Mirror:
    """The mirror of a cloud folder in this machine's cache ($MAMMOLIBS_CACHE, else ~/.cache/mammolibs); not fetched yet."""
    store = open_store(location)
    return Mirror(cache_folder() / "copies" / store.location.partition("://")[2], store)


def mirror_of(folder: Path | str) -> Mirror | None:
    """The mirror that a folder belongs to, it or one above it; None for a folder that is nobody's copy."""
    place = _copied(Path(folder))
    return None if place is None else Mirror(place, open_store(_read_note(place)["location"]))


def leaves_machine(location: Path | str) -> bool:
    """True where what is written goes to a bucket: at an address, and in a folder that is the copy of a cloud folder."""
    return not is_local(location) or _copied(Path(location)) is not None


def _copied(folder: Path) -> Path | None:
    """The folder, or the one above it, that is the copy of a cloud folder."""
    folder = folder.absolute()
    return next((place for place in (folder, *folder.parents) if _read_note(place) is not None), None)


def _read_note(folder: Path) -> dict | None:
    try:
        return json.loads((folder / NOTE_NAME).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BadFile(folder / NOTE_NAME, f"is damaged ({error})", f"move {folder} away; it will be fetched again") from error


def _looks(path: Path, crc32c: int) -> Mirrored:
    stat = path.stat()
    return Mirrored(crc32c, stat.st_size, stat.st_mtime_ns)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
