"""The house rules that a machine can hold: who imports whom, where heavy libraries live, sizes."""

from __future__ import annotations

import ast
import functools
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mammolibs"

MAY_IMPORT = {
    "storage": set(),
    "losses": set(),
    "augment": set(),
    "runtime": set(),
    "imaging": {"storage"},
    "prepare": set(),
    "models": {"storage"},
    "evaluate": {"storage"},
    "catalog": {"imaging", "storage"},
    "shards": {"storage"},
    "phantom": {"imaging", "storage"},
    "ingest": {"storage", "catalog", "imaging", "prepare", "shards", "augment"},
    "stream": {"shards", "augment", "storage"},
    "predict": {"storage", "imaging", "prepare", "models", "runtime"},
    "engine": {"stream", "runtime", "storage", "models"},
    "stages": {"engine", "stream", "ingest", "models", "losses", "evaluate", "prepare", "predict"},
}
ANYWHERE = {"errors", "records", "lazy"}
DOORS = {"MMmodels", "MMdataset", "MMutils"}

CONFINED = {
    "google": {"storage/gcs.py"},
    "torch_xla": {"runtime/xla.py"},
    "torch_tpu": {"runtime/tpu.py"},
    "torchvision": set(),
    "torch": {"losses", "runtime", "models", "stream", "engine", "predict", "stages", "pipeline"},
    "safetensors": {"models"},
    "pydicom": {"imaging"},
    "imagecodecs": {"imaging", "shards/codec.py"},
    "cv2": {"imaging", "prepare", "augment", "catalog", "ingest", "phantom", "predict", "stream"},
    "scipy": {"evaluate", "prepare/resample.py"},
    "sklearn": {"evaluate"},
    "matplotlib": {"evaluate"},
    "pyarrow": {"catalog", "shards", "phantom", "evaluate"},
    "dask": {"ingest/cluster.py"},
    "distributed": {"ingest/cluster.py"},
    "skimage": set(),
}
LONG_FILES: dict[str, str] = {}
SCRIPT_FOLDERS = ("train", "eval", "dataset_enhancement")


def sources(folder: Path = PACKAGE) -> list[Path]:
    return sorted(folder.rglob("*.py"))


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def imports(path: Path) -> list[tuple[str, int]]:
    """Dotted names that a file imports anywhere in it, with their lines."""
    found = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}:{node.lineno} imports relatively; write the full name"
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "mammolibs" else [node.module]
            found += [(name, node.lineno) for name in names]
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_room_imports_only_what_lies_to_its_left(path):
    parts = path.relative_to(PACKAGE).parts
    room = parts[0].removesuffix(".py")
    if room == "records":
        return
    for name, line in imports(path):
        if not name.startswith("mammolibs."):
            continue
        target = name.split(".")[1]
        assert target in ANYWHERE | DOORS | set(MAY_IMPORT) | {"pipeline"}, f"{path}:{line} imports {name}, which is no room"
        if room == "pipeline" or room in DOORS:
            continue
        allowed = ANYWHERE | MAY_IMPORT.get(room, set()) | {room}
        assert target in allowed, f"{path.relative_to(ROOT)}:{line} room {room} may not import {target}"


@pytest.mark.parametrize("path", sources(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_heavy_libraries_stay_in_their_rooms(path):
    place = path.relative_to(PACKAGE).as_posix()
    for name, line in imports(path):
        for library, places in CONFINED.items():
            if name == library or name.startswith(library + "."):
                assert place.split("/")[0] in places or place in places, f"{place}:{line} imports {library}, confined to {sorted(places)}"


def test_rooms_have_no_cycle():
    order: list[str] = []

    def visit(room, trail):
        assert room not in trail, f"cycle: {' -> '.join((*trail, room))}"
        for other in sorted(MAY_IMPORT[room]):
            visit(other, (*trail, room))
        order.append(room)

    for room in MAY_IMPORT:
        visit(room, ())


def test_records_and_errors_need_only_the_standard_library():
    for path in (PACKAGE / "errors.py", PACKAGE / "lazy.py", *sources(PACKAGE / "records")):
        for imported, line in imports(path):
            own = imported.startswith("mammolibs.records")
            assert own or imported.split(".")[0] in sys.stdlib_module_names, f"{path.name}:{line} imports {imported}"


@pytest.mark.parametrize(
    "path", [p for f in ("mammolibs", "scripts", *SCRIPT_FOLDERS) for p in sources(ROOT / f)], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_files_and_functions_are_short(path):
    text = path.read_text()
    place = path.relative_to(ROOT).as_posix()
    assert len(text.splitlines()) <= 300 or place in LONG_FILES, f"{place} has {len(text.splitlines())} lines"
    for node in ast.walk(parsed(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < 60, f"{place}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"


def code_lines(path: Path) -> int:
    """Lines that hold code: no blank lines, no comments, no docstrings."""
    text = path.read_text()
    lines = {i for i, line in enumerate(text.splitlines(), 1) if line.strip() and not line.strip().startswith("#")}
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return len(lines)


@pytest.mark.parametrize("path", [p for f in SCRIPT_FOLDERS for p in sources(ROOT / f)], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_scripts_are_thin(path):
    assert code_lines(path) <= 30
    assert path.stem not in sys.stdlib_module_names
    assert path.name != "__init__.py"


def test_doors_only_hand_on():
    for door in DOORS:
        for node in ast.parse((PACKAGE / f"{door}.py").read_text()).body:
            is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            assert is_docstring or isinstance(node, (ast.ImportFrom, ast.Assign)), f"{door}.py:{node.lineno}"


@pytest.mark.parametrize(
    "path", [p for p in sources() if p.relative_to(PACKAGE).parts[0] != "runtime"], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_no_other_room_names_an_accelerator(path):
    accelerators = {"cuda", "xla", "tpu", "nccl", "pjrt"}
    for node in ast.walk(parsed(path)):
        named = [getattr(node, field, None) for field in ("id", "attr", "arg", "name")]
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value.split()) == 1 and "torch_" not in node.value:
            named.append(node.value)
        for word in (w for name in named if isinstance(name, str) for w in name.lower().replace(":", "_").split("_")):
            assert word not in accelerators, f"{path.relative_to(ROOT)}:{node.lineno} names {word}"
