"""Bring a folder to a bucket: DICOM images de-identified first, label tables by the same pseudonyms, shards as they are.

    python scripts/upload.py FOLDER gs://BUCKET/raw --key my.key
    python scripts/upload.py FOLDER gs://BUCKET/raw --key my.key --tables labels.csv:path=file,patient=patient,pathology=keep
    python scripts/upload.py CBIS-DDSM gs://BUCKET/cbis --key my.key --published
    python scripts/upload.py runs/mine/data/shards gs://BUCKET/mine/shards --as-is

Images: DICOM PS3.15 Basic Profile, with pseudonyms and moved dates by the key, which is made where there is none (mode
0600). Keep it: the same key gives the same pseudonyms, so that later uploads belong to the same patients; who has it can
tell whose images these are. A file becomes PATIENT/SOP_INSTANCE_UID.dcm, both pseudonyms, whatever it was called. What
has text in its pixels, by its header or by the look of them, is left out, and so is every other kind of file.

Tables: FILE:COLUMN=KIND,... with the kinds patient, accession, uid, date (moved by the days of the row's patient), file
(an image's path below FOLDER, or its name) and keep (as it is: you vouch for it). Other columns stay here. A table
becomes table-PSEUDONYM.csv.

--published is for sets that others have de-identified and published (CBIS-DDSM, CMMD): images go the same way but keep
patient id, UIDs, descriptions of series and their place below FOLDER; tables, outlines and pictures go as they are.

--as-is removes nothing, but for the names of this machine's files in a catalog and in the lists beside it and its shards. These
name images and patients as the catalog does, which for your own patients is by pseudonyms.

What the bucket has already, of the same size and crc32c, is not sent again. What was left out is listed in skipped.csv.
"""

from __future__ import annotations

import functools
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path

from tqdm import tqdm

from mammolibs.catalog import Skipped, write_skipped
from mammolibs.catalog.label_tables import read_columns, read_csv
from mammolibs.errors import BadConfig, BadData, BadFile, MammolibsError
from mammolibs.imaging import Pseudonyms, PublishedIds, identify, open_key
from mammolibs.imaging.deidentify_inside import is_dicom
from mammolibs.imaging.deidentify_table import EDITION
from mammolibs.imaging.files import PLAIN_ENDINGS, is_dicomdir
from mammolibs.imaging.pool import map_files
from mammolibs.pipeline.cli import option, run_script
from mammolibs.pipeline.outgoing import NAMES_FILES, Job, map_table, parse_table, send_as_is, send_bytes, send_image, send_without_places
from mammolibs.shards.place import NOTE
from mammolibs.storage import json_bytes, open_store

NOTE_NAME = "deidentification.json"
MAX_SKIPPED_SHARE = 0.5
LISTING = "lists the files of a medium and their patients, and holds no image"
OTHER_KIND = "is no DICOM file; a label table goes with --tables, another folder of what holds no patient's data with --as-is"
# What tells of a published set's images beside them: label tables, packed ones too, outlines, masks and pictures.
PUBLISHED_ENDINGS = (".csv", ".xlsx", ".xls", ".txt", ".xml", ".json", ".ics", ".overlay", *PLAIN_ENDINGS)
PUBLISHED_OTHER = f"is of a kind that no source reads; sent are DICOM and {', '.join(PUBLISHED_ENDINGS)}"
PACKED_ENDINGS = (".gz", ".xz")
UNFINISHED = "is a note of an unfinished shard set and names files of this machine; let make_shards.py finish it"


@dataclass(frozen=True, kw_only=True)
class Options:
    folder: str = option(MISSING, "the folder to bring over; hidden files stay", positional=True, metavar="FOLDER")
    to: str = option(MISSING, "where to", positional=True, metavar="gs://BUCKET/PREFIX")
    key: str | None = option(None, "the file that all pseudonyms come from; made where there is none, and to be kept", metavar="FILE")
    tables: tuple = option(
        (), "a label table in FOLDER and what its columns are; repeatable", parse=parse_table, repeat=True, metavar="FILE:COLUMN=KIND,..."
    )
    issuer: str = option("", "Issuer of Patient ID of the tables' patients, where the images name one")
    published: bool = option(False, "with --key: a set published without names; ids, file names, tables, outlines stay as they are")
    as_is: bool = option(False, "send names and bytes unchanged, for what holds no DICOM, such as shards")
    skipped: str = option("skipped.csv", "where to list what was left out; names of files stand in it", metavar="FILE")
    workers: int = option(0, "processes, 0 for one per core")
    timeout: float = option(600.0, "seconds that one file may take")

    def __post_init__(self):
        if self.as_is == (self.key is not None) or (self.as_is and (self.tables or self.published)):
            raise ValueError("give --key FILE to de-identify, or --as-is for what holds no DICOM; tables and --published go with --key")
        if self.published and (self.tables or self.issuer):
            raise ValueError("--published sends all tables as they are; leave --tables and --issuer out")
        if self.key and Path(self.key).resolve().is_relative_to(Path(self.folder).resolve()):
            raise ValueError(f"--key {self.key}: lies in the folder that goes to the bucket; keep it elsewhere")
        if not self.to.startswith("gs://"):
            raise ValueError(f"{self.to}: expected gs://BUCKET/PREFIX")


class Upload:
    """One call: what is below the folder, where it goes, what was left out."""

    def __init__(self, options: Options):
        self.options, self.store, self.skipped = options, open_store(options.to), []
        self.folder = Path(options.folder)
        if not self.folder.is_dir():
            raise BadFile(self.folder, "is no folder", "give the folder that holds what to bring over")
        self.sent = self.same = self.bytes = 0

    def run(self) -> str:
        options = self.options
        # Known from here on to be writable, and never older than the upload.
        write_skipped(options.skipped, [])
        there = self.store.checksums()
        files = [path for path in _files_below(self.folder) if path.resolve() != Path(options.skipped).resolve()]
        try:
            if options.as_is:
                self._as_is(files, there)
            else:
                self._deidentified(files, there)
        finally:
            write_skipped(options.skipped, sorted(self.skipped, key=lambda item: item.item))
        return self._told()

    def _as_is(self, files: Sequence[Path], there: dict) -> None:
        print(f"AS IS: {len(files)} files go to {self.store.location} with their names and bytes, patient ids too", file=sys.stderr)
        names = {path: path.relative_to(self.folder).as_posix() for path in files}
        kept = [path for path in files if path.name.startswith(NOTE) and path.suffix == ".json"]
        self.skipped += [Skipped(str(path), UNFINISHED, on_purpose=True) for path in kept]
        whole = [Job(path, name, there.get(name)) for path, name in names.items() if path.name not in NAMES_FILES and path not in kept]
        self._send_all(functools.partial(send_as_is, store=self.store), whole)
        for path in (path for path in files if path.name in NAMES_FILES):
            try:
                send_without_places(path, f"{self.store.location}/{names[path]}")
                self._count(self.store.size(names[path]))
            except BadFile as error:
                self.skipped.append(Skipped(str(path), f"{error.problem}; {error.remedy}"))

    def _deidentified(self, files: Sequence[Path], there: dict) -> None:
        tables = [(self._below(self.folder / file), columns) for file, columns in self.options.tables]
        for path, columns in tables:
            known = read_columns(path)
            if lacks := [column for column in columns if column not in known]:
                raise BadFile(path, f"has no column {', '.join(lacks)}", f"it has {', '.join(known)}")
            read_csv(path, ())
        pseudonyms = open_key(self.options.key)
        if self.options.published:
            pseudonyms = PublishedIds(pseudonyms.key)
            kept = "patient ids, UIDs, descriptions of series, file names, and tables, outlines and pictures whole"
            print(f"PUBLISHED: {self.store.location} gets as they are: {kept}", file=sys.stderr)
        self._check_key(pseudonyms)
        plan = self._plan_published if self.options.published else self._plan
        jobs = plan([path for path in files if path not in dict(tables)], pseudonyms, there)
        function = functools.partial(send_image, store=self.store, pseudonyms=pseudonyms)
        done = self._send_all(function, jobs)
        names = {path.relative_to(self.folder).as_posix(): name for path, name in done.items()}
        often = Counter(path.name for path in done)
        names = {path.name: name for path, name in done.items() if often[path.name] == 1} | names
        for path, columns in tables:
            self._send_table(path, columns, pseudonyms, names, there)

    def _below(self, path: Path) -> Path:
        """A table's path, which may be written whole, by the folder as that is written."""
        resolved, folder = path.resolve(), self.folder.resolve()
        if not resolved.is_relative_to(folder):
            raise BadFile(path, f"does not lie in {self.folder}", "copy it there, or give the folder above both")
        return self.folder / resolved.relative_to(folder)

    def _send_table(self, path: Path, columns: dict[str, str], pseudonyms: Pseudonyms, names: dict[str, str], there: dict) -> None:
        name = f"table-{pseudonyms.text('table', path.relative_to(self.folder).as_posix())}.csv"
        try:
            data, left_out = map_table(path, columns, pseudonyms, names, self.options.issuer)
        except BadFile as error:
            self.skipped.append(Skipped(str(path), f"{error.problem}; {error.remedy}"))
            return
        self.skipped += [Skipped(f"{path} line {line}", "names a file that was not brought over") for line in left_out]
        self._count(send_bytes(Job(path, name, there.get(name)), data, self.store))
        print(f"{path}: {self.store.location}/{name}")

    def _check_key(self, pseudonyms: Pseudonyms) -> None:
        """The bucket's folder says which key it was filled with, not what the key is: another would give each patient a second name."""
        kept = {"kept": "ids and file names"} if pseudonyms.keeps_ids else {}
        note = json_bytes({"profile": EDITION, "key": pseudonyms.mark} | kept)
        if not self.store.exists(NOTE_NAME):
            self.store.write(NOTE_NAME, note)
        elif self.store.read(NOTE_NAME) != note:
            problem = f"--key {self.options.key}: {self.store.location} was filled with another key, or not in this way (--published)"
            raise BadConfig(f"{problem}; give that key, or another address")

    def _plan(self, files: Sequence[Path], pseudonyms: Pseudonyms, there: dict) -> list[Job]:
        """One job per SOP instance; other kinds of files and further copies are left out."""
        first: dict[str, Job] = {}
        for path in tqdm(files, unit="file", desc="headers", delay=2.0, leave=False):
            try:
                if is_dicomdir(path) or not is_dicom(path):
                    self.skipped.append(Skipped(str(path), LISTING if is_dicomdir(path) else OTHER_KIND, on_purpose=True))
                    continue
                identity = identify(path, pseudonyms)
            except BadFile as error:
                self.skipped.append(Skipped(str(path), f"{error.problem}; {error.remedy}"))
                continue
            job = Job(path, identity.object_name, there.get(identity.object_name))
            if (taken := first.setdefault(identity.sop_uid, job)) is not job:
                self.skipped.append(Skipped(str(path), f"has the SOP Instance UID of {taken.path}", on_purpose=True))
        return list(first.values())

    def _plan_published(self, files: Sequence[Path], pseudonyms: Pseudonyms, there: dict) -> list[Job]:
        """One job per file, which keeps its place below the folder; what no source reads is left out."""
        jobs = []
        for path in files:
            name = path.relative_to(self.folder).as_posix()
            try:
                as_is = not is_dicom(path)
            except BadFile as error:
                self.skipped.append(Skipped(str(path), f"{error.problem}; {error.remedy}"))
                continue
            plain = path.with_suffix("") if path.suffix.lower() in PACKED_ENDINGS else path
            if as_is and plain.suffix.lower() not in PUBLISHED_ENDINGS:
                self.skipped.append(Skipped(str(path), PUBLISHED_OTHER, on_purpose=True))
            else:
                jobs.append(Job(path, name, there.get(name), as_is))
        return jobs

    def _send_all(self, function: Callable[[Job], int], jobs: Sequence[Job]) -> dict[Path, str]:
        """path -> object of what lies in the bucket now."""
        done = {}
        workers = min(self.options.workers or os.cpu_count() or 1, len(jobs))
        answers = map_files(function, jobs, workers=workers, timeout_s=self.options.timeout, describe=lambda job: str(job.path))
        sizes = {job: job.path.stat().st_size for job in jobs}
        with tqdm(total=sum(sizes.values()), unit="B", unit_scale=True, desc="upload", delay=2.0, leave=False) as bar:
            for job, answer in answers:
                bar.update(sizes[job])
                if isinstance(answer, BadFile) and answer.file == str(job.path):
                    self.skipped.append(Skipped(str(job.path), f"{answer.problem}; {answer.remedy}"))
                elif isinstance(answer, MammolibsError):
                    raise answer
                else:
                    self._count(answer)
                    done[job.path] = job.name
        return done

    def _count(self, sent: int) -> None:
        self.sent, self.same, self.bytes = self.sent + bool(sent), self.same + (not sent), self.bytes + sent

    def _told(self) -> str:
        bad = [item for item in self.skipped if not item.on_purpose]
        others = len(self.skipped) - len(bad)
        if not self.sent + self.same or len(bad) > MAX_SKIPPED_SHARE * (len(bad) + self.sent + self.same):
            if not self.skipped:
                raise BadData(f"{self.folder}: holds no file; give the folder that holds what to bring over")
            first, done = (bad or self.skipped)[0], self.sent + self.same
            counts = f"{done} brought over, {len(bad)} could not be, {others} of other kinds or copies"
            raise BadData(f"{self.folder}: {counts}, first {first.item}: {first.reason}; see {self.options.skipped}")
        told = f"{self.store.location}: {self.sent} sent ({self.bytes / 1e6:.1f} MB), {self.same} there already"
        return told + (f"; {len(bad)} skipped, {others} of other kinds or copies, listed in {self.options.skipped}" if self.skipped else "")


def _files_below(folder: Path) -> list[Path]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place, name) for name in sorted(names) if not name.startswith(".")]
    return found


def main(options: Options) -> None:
    print(Upload(options).run())


if __name__ == "__main__":
    run_script(main, Options, __doc__)
