"""A run's folder: what lies where in it, and what it remembers."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mammolibs.errors import BadConfig, BadFile
from mammolibs.pipeline.places import keep_places, kept_places, same_but_for_places, without_places
from mammolibs.pipeline.policy import shards_policy
from mammolibs.pipeline.presets import PRESETS, STAGES, Preset, preset
from mammolibs.prepare import Contract
from mammolibs.records import Policy
from mammolibs.runtime import Runtime
from mammolibs.shards import is_finished, open_index
from mammolibs.storage import below, is_address, leaves_machine, mirror_of, open_store, working_copy, write_json


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What a run remembers, so that its scripts agree without being told again.

    contract: how images become samples. sources: (name, path) of each data set; source_options: NAME.OPTION=VALUE each. fold: which
    fold of how many this is, or None. pretraining: whether train.sh trains encoder and autoencoder.
    policy: which images are refused, as `Policy.to_dict`. left_out: that of the sources which it was not trained on, so that it can be
    judged on it; empty where it was trained on all.
    data: folder or address with catalog and shards where they are not the run's own; a relative one starts at the run's folder.
    None where they lie on another machine.
    """

    preset: str
    seed: int
    contract: dict[str, Any]
    sources: tuple[tuple[str, str], ...] = ()
    source_options: tuple[str, ...] = ()
    fold: tuple[int, int] | None = None
    left_out: str = ""
    data: str | None = ""
    spacing_mm: float | None = None
    pretraining: bool = True
    policy: dict[str, Any] = field(default_factory=lambda: Policy().to_dict())
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """Paths of one run and its settings."""

    folder: Path
    settings: RunSettings

    @classmethod
    def open(cls, folder: str | Path, *, preset_name: str | None = None, seed: int | None = None, data: str | None = None) -> Run:
        """The run in that folder; where there is none yet but shards are (in `data`, else in its own data folder), a new one on them.

        Raises BadConfig where there is neither, or where a flag contradicts what the run remembers.
        """
        folder = local_folder(folder)
        if not (folder / "run.json").is_file():
            return cls.create(folder, settings_of_shards(folder, data, preset_name, seed or 0))
        settings = read_settings(folder / "run.json")
        kept = {"preset": settings.preset, "seed": settings.seed, "data": settings.data}
        given = {"preset": preset_name, "seed": seed, "data": None if data is None else settled(data)}
        for flag, value in given.items():
            if value is not None and not same_but_for_places(flag, kept[flag], value):
                was = f"with --{flag} {kept[flag]}" if kept[flag] != "" else f"on its own {flag}"
                raise BadConfig(f"--{flag} {value}: the run {folder} was made {was}; leave the flag out, or take another --run")
        return cls(folder, settings)._placed(given["data"])

    @classmethod
    def create(cls, folder: str | Path, settings: RunSettings) -> Run:
        """A new run, or the one that is there where it was made with the same settings. Raises BadConfig for other data."""
        folder = local_folder(folder)
        if (folder / "run.json").is_file():
            there = cls.open(folder)
            for name in (
                "preset",
                "seed",
                "contract",
                "sources",
                "source_options",
                "fold",
                "left_out",
                "data",
                "spacing_mm",
                "pretraining",
                "policy",
            ):
                if not same_but_for_places(name, getattr(there.settings, name), getattr(settings, name)):
                    raise BadConfig(
                        f"{folder}: holds a run with another {name} ({getattr(there.settings, name)}, now {getattr(settings, name)}); take another --run"
                    )
            return there._placed(settings.data)
        write_settings(folder, settings)
        return cls(folder, settings)

    def _placed(self, data: str | None) -> Run:
        """The run with the place of its data on this machine, where that was not known and is told now."""
        if data is None or self.settings.data is not None:
            return self
        settings = replace(self.settings, data=data)
        keep_places(self.folder, asdict(settings))
        return Run(self.folder, settings)

    def remember(self, **notes: Any) -> Run:
        """The run with further notes written into run.json."""
        settings = replace(self.settings, notes=self.settings.notes | notes)
        write_settings(self.folder, settings)
        return Run(self.folder, settings)

    @property
    def preset(self) -> Preset:
        return preset(self.settings.preset)

    @property
    def contract(self) -> Contract:
        return Contract.from_dict(self.settings.contract)

    @property
    def policy(self) -> Policy:
        return Policy().changed(self.settings.policy)

    @property
    def data(self) -> Path | str:
        """Where catalog and shards lie: a folder, or the address of one in a bucket. Raises BadConfig where that is on another machine."""
        place = self.settings.data
        if place is None:
            raise BadConfig(
                f"{self.folder}: where its catalog and shards lie on this machine is not known; give --data FOLDER once, "
                "to a script under train/ or to one of eval/ that judges its own test set"
            )
        return place if is_address(place) else Path(os.path.normpath(self.folder / (place or "data")))

    @property
    def catalog(self) -> Path | str:
        return below(self.data, "catalog.parquet")

    @property
    def skipped(self) -> Path | str:
        return below(self.data, "skipped.csv")

    def shards(self, split: str, kind: str = "shards") -> Path | str:
        """Where one split's shard set lies; kind: shards (whole images), lesion_patches, patches."""
        return below(self.data if kind == "shards" else self.folder / "data", kind, split)

    def send(self) -> None:
        """Where the run is the copy of a cloud folder: bring over what has changed."""
        if mirror := mirror_of(self.folder):
            mirror.send()

    def share(self, runtime: Runtime) -> None:
        """Where the run is the copy of a cloud folder: what the main host has made is on all hosts afterwards."""
        if mirror := mirror_of(self.folder):
            if runtime.is_main:
                mirror.send()
            runtime.wait_for_hosts()
            mirror.fetch()

    def stage(self, name: str) -> Path:
        if name not in STAGES:
            raise BadConfig(f"stage {name}: allowed are {', '.join(STAGES)}")
        return self.folder / name

    @property
    def report(self) -> Path:
        return self.folder / "report"


def write_settings(folder: Path, settings: RunSettings) -> None:
    """Write run.json. Where it goes to a bucket it names no place on this machine; a hidden file keeps those."""
    values = asdict(settings)
    if leaves_machine(folder):
        keep_places(folder, values)
        values = without_places(values)
    write_json(folder / "run.json", values)


def read_settings(path: Path) -> RunSettings:
    """What run.json holds. Raises BadFile where it is damaged."""
    try:
        values = json.loads(path.read_text()) | kept_places(path.parent)
        values["sources"] = tuple(map(tuple, values["sources"]))
        values["source_options"] = tuple(values.get("source_options", ()))
        values["fold"] = tuple(values["fold"]) if values["fold"] else None
        values["policy"] = Policy().changed(values.get("policy", {})).to_dict()
        return RunSettings(**values)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadFile(path, f"is damaged ({error})", "restore it, or start a new run with another --run") from error


def settings_of_shards(folder: Path, data: str | None, preset_name: str | None, seed: int) -> RunSettings:
    """Settings of a new run on shards that were made by hand. Raises BadConfig where there are none, or no preset fits them."""
    place = settled(data) if data else folder / "data"
    shards = open_store(below(place, "shards", "train"))
    for parts, words in (("folds", "was cross-validated, one run per fold"), ("seeds", "was trained with several seeds, one run each")):
        if (folder / parts / "0" / "run.json").is_file():
            raise BadConfig(f"{folder}: {words}; name one of them: --run {folder / parts / '0'}")
    if others := sorted(path.parent for path in folder.glob("without/*/run.json")):
        raise BadConfig(f"{folder}: holds a run for each source left out; name one of them: --run {others[0]}")
    if not is_finished(shards):
        others = sorted(path.name for path in folder.parent.glob("*") if (path / "run.json").is_file() or (path / "folds").is_dir())
        beside = f" (runs in {folder.parent}: {', '.join(others)})" if others and not folder.exists() else ""
        raise BadConfig(
            f"{folder}: no run and no shards here{beside}; type: bash train/train.sh --run {folder} "
            f"(or make {place}/shards with dataset_enhancement/make_shards.py)"
        )
    contract = Contract.from_dict(open_index(shards).contract)
    fitting = [name for name, sizes in PRESETS.items() if sizes.canvas == contract.canvas]
    name = preset_name or (fitting[0] if fitting else None)
    if name is None:
        canvas = "{}x{}".format(*contract.canvas)
        raise BadConfig(f"{place}: its canvas of {canvas} belongs to no preset; say which networks with --preset")
    policy = shards_policy(below(place, "shards")).to_dict()
    return RunSettings(preset=name, seed=seed, contract=contract.to_dict(), data=str(place) if data else "", policy=policy)


def settled(data: str) -> str:
    """`--data` as a run remembers it, wherever the next command is typed."""
    return data.rstrip("/") if is_address(data) else str(Path(data).resolve())


def local_folder(folder: str | Path) -> Path:
    """The folder as a path; of a `gs://` address, this machine's copy of it, fetched now.

    Raises what `Mirror.fetch` raises.
    """
    if not is_address(folder):
        return Path(folder)
    mirror = working_copy(str(folder))
    mirror.fetch()
    print(f"{folder}: works in {mirror.folder}", flush=True)
    return mirror.folder
