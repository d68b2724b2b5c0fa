"""A run's folder: what lies where in it, and what it remembers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mammolibs.errors import BadConfig, BadFile
from mammolibs.pipeline.presets import STAGES, Preset, preset
from mammolibs.prepare import Contract
from mammolibs.storage import write_json


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What a run remembers, so that its scripts agree without being told again.

    contract: how images become samples. sources: (name, path) of each data set. fold: which
    fold of how many this is, or None. data: folder with the shards where it is not the run's own.
    """

    preset: str
    seed: int
    contract: dict[str, Any]
    sources: tuple[tuple[str, str], ...] = ()
    fold: tuple[int, int] | None = None
    data: str = ""
    spacing_mm: float | None = None
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """Paths of one run and its settings."""

    folder: Path
    settings: RunSettings

    @classmethod
    def open(cls, folder: str | Path, *, preset_name: str | None = None, seed: int | None = None) -> "Run":
        """The run in that folder. Raises BadConfig where it is none, or where a flag contradicts what it remembers."""
        folder = local_folder(folder)
        path = folder / "run.json"
        if not path.is_file():
            raise BadConfig(f"{folder}: no run here (run.json is missing); make one with: bash train/train.sh --run {folder}")
        try:
            values = json.loads(path.read_text())
            fold = tuple(values.pop("fold")) if values.get("fold") else (values.pop("fold", None) and None)
            settings = RunSettings(**values | {"sources": tuple(map(tuple, values["sources"])), "fold": fold})
        except (ValueError, TypeError, KeyError) as error:
            raise BadFile(path, f"is damaged ({error})", "restore it, or start a new run with another --run") from error
        for flag, given, kept in (("preset", preset_name, settings.preset), ("seed", seed, settings.seed)):
            if given is not None and given != kept:
                raise BadConfig(f"--{flag} {given}: the run {folder} was made with --{flag} {kept}; leave the flag out, or take another --run")
        return cls(folder, settings)

    @classmethod
    def create(cls, folder: str | Path, settings: RunSettings) -> "Run":
        """A new run, or the one that is there where it was made with the same settings. Raises BadConfig for other data."""
        folder = local_folder(folder)
        if (folder / "run.json").is_file():
            there = cls.open(folder)
            for name in ("preset", "seed", "contract", "sources", "fold", "data", "spacing_mm"):
                if getattr(there.settings, name) != getattr(settings, name):
                    raise BadConfig(
                        f"{folder}: holds a run with another {name} ({getattr(there.settings, name)}, now {getattr(settings, name)}); take another --run"
                    )
            return there
        write_json(folder / "run.json", asdict(settings))
        return cls(folder, settings)

    def remember(self, **notes: Any) -> "Run":
        """The run with further notes written into run.json."""
        settings = replace(self.settings, notes=self.settings.notes | notes)
        write_json(self.folder / "run.json", asdict(settings))
        return Run(self.folder, settings)

    @property
    def preset(self) -> Preset:
        return preset(self.settings.preset)

    @property
    def contract(self) -> Contract:
        return Contract.from_dict(self.settings.contract)

    @property
    def data(self) -> Path:
        return Path(self.settings.data) if self.settings.data else self.folder / "data"

    @property
    def catalog(self) -> Path:
        return self.data / "catalog.parquet"

    def shards(self, split: str, kind: str = "shards") -> Path:
        """Folder of one split's shard set; kind: shards (whole images), lesion_patches, patches."""
        return (self.data if kind == "shards" else self.folder / "data") / kind / split

    def stage(self, name: str) -> Path:
        if name not in STAGES:
            raise BadConfig(f"stage {name}: allowed are {', '.join(STAGES)}")
        return self.folder / name

    @property
    def report(self) -> Path:
        return self.folder / "report"


def local_folder(folder: str | Path) -> Path:
    """The folder as a path. Raises BadConfig for a cloud address, which this version does not write to."""
    if "://" in str(folder):
        raise BadConfig(f"--run {folder}: this version keeps runs in local folders; give a folder")
    return Path(folder)
