"""A run that lives in a cloud folder goes on on another machine, and nothing that was written is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from mammolibs.errors import BadFile, RuntimeUnavailable
from mammolibs.storage import MemoryStore, Mirror, mirror_of, working_copy
from mammolibs.storage.mirror import INDEX_NAME


@pytest.fixture
def machine(tmp_path, guarded):
    """A new machine: its copy of the one cloud folder, fetched."""

    def start(name: str) -> Mirror:
        mirror = Mirror(tmp_path / name, guarded)
        mirror.fetch()
        return mirror

    return start


def put(mirror: Mirror, **files: str) -> None:
    for name, text in files.items():
        path = mirror.folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def before_write_of(name: str, mirror: Mirror, monkeypatch, happens: Callable[[], None]) -> None:
    """Let something happen, once, right before an object is written."""
    really, waiting = mirror.store.write_if, [happens]

    def write_if(written, data, generation):
        if written == name and waiting:
            waiting.pop()()
        return really(written, data, generation)

    monkeypatch.setattr(mirror.store, "write_if", write_if)


def holds(mirror: Mirror) -> dict[str, str]:
    paths = sorted(path for path in mirror.folder.rglob("*") if path.is_file() and "/." not in str(path.relative_to(mirror.folder.parent)))
    return {path.relative_to(mirror.folder).as_posix(): path.read_text() for path in paths}


def test_another_machine_has_what_was_sent(machine):
    first = machine("a")
    put(first, run="r", unet__state="s" * 1000, unet___dot_lock="mine")
    first.send()
    assert holds(machine("b")) == {"run": "r", "unet/state": "s" * 1000}


def test_changes_and_removals_travel_both_ways(machine):
    first = machine("a")
    put(first, run="r", unet__old="o", unet__kept="k")
    first.send()
    second = machine("b")
    (second.folder / "unet/old").unlink()
    put(second, run="r2", unet__new="n")
    second.send()
    again = machine("a")
    assert holds(again) == {"run": "r2", "unet/kept": "k", "unet/new": "n"}
    assert sorted(again.store.list()) == [INDEX_NAME, "run", "unet/kept", "unet/new"]


def test_only_what_has_changed_is_sent_again(machine, monkeypatch):
    first = machine("a")
    put(first, big="b" * 1000, small="s")
    first.send()
    written, really = [], first.store.write_if
    monkeypatch.setattr(first.store, "write_if", lambda name, *rest: (written.append(name), really(name, *rest))[1])
    put(first, small="t")
    first.send()
    first.send()
    (first.folder / "big").touch()
    first.send()
    assert written == ["small", INDEX_NAME, INDEX_NAME]


def test_what_a_machine_had_not_sent_when_it_stopped_goes_on_there(machine):
    first = machine("a")
    put(first, state="1")
    first.send()
    put(first, state="2", more="m")
    assert holds(machine("a")) == {"state": "2", "more": "m"}
    machine("a").send()
    assert holds(machine("b")) == {"state": "2", "more": "m"}


def test_where_another_machine_has_gone_on_the_unsent_is_set_aside_and_named(machine, capsys):
    first = machine("a")
    put(first, state="1", same="s")
    first.send()
    put(first, state="2 here", unsent="u")
    second = machine("b")
    put(second, state="2 there")
    second.send()
    again = machine("a")
    assert holds(again) == {"state": "2 there", "same": "s"}
    assert "2 file(s) that were not sent from here now lie in" in capsys.readouterr().out
    assert (again.folder / ".unsent/1/state").read_text() == "2 here" and (again.folder / ".unsent/1/unsent").read_text() == "u"


def test_of_two_writers_the_one_that_came_later_goes_on(machine):
    first = machine("a")
    put(first, state="1")
    first.send()
    second = machine("b")
    put(second, state="2")
    second.send()
    put(first, state="1 again", other="o")
    with pytest.raises(BadFile, match="in use by another process.*stop one of the two; what was not sent lies in"):
        first.send()
    assert holds(machine("c")) == {"state": "2"}
    put(second, state="3")
    second.send()
    assert holds(machine("c")) == {"state": "3"}


def test_two_first_writers_do_not_both_win(machine):
    first, second = machine("a"), machine("b")
    put(first, state="1")
    put(second, state="2", other="o")
    first.send()
    with pytest.raises(BadFile, match="in use by another process"):
        second.send()
    assert sorted(first.store.list()) == [INDEX_NAME, "state"] and holds(machine("c")) == {"state": "1"}


@pytest.mark.parametrize("before", [{}, {"state": "0"}])
def test_who_has_begun_to_send_is_not_written_over_by_who_began_as_early(machine, monkeypatch, before):
    if before:
        put(start := machine("start"), **before)
        start.send()
    first, second = machine("a"), machine("b")
    put(first, another="1", state="1")
    put(second, another="2", state="2")

    def meanwhile():
        with pytest.raises(BadFile, match="in use by another process"):
            second.send()

    before_write_of("another", first, monkeypatch, meanwhile)
    first.send()
    assert holds(machine("c")) == {"another": "1", "state": "1"}


@pytest.mark.parametrize("name", ["another", "state"])
def test_who_is_overtaken_while_sending_writes_over_nothing(machine, monkeypatch, name):
    first = machine("a")
    put(first, another="0", state="0")
    first.send()
    put(first, another="1", state="1")

    def meanwhile():
        second = machine("b")
        put(second, another="2", state="2")
        second.send()

    before_write_of(name, first, monkeypatch, meanwhile)
    with pytest.raises(BadFile, match="in use by another process"):
        first.send()
    assert holds(machine("c")) == {"another": "2", "state": "2"}


@pytest.mark.parametrize("name", ["another", "state"])
def test_a_machine_that_stops_in_its_first_sending_goes_on_there(machine, monkeypatch, name):
    first = machine("a")
    put(first, another="1", state="1")

    def stop():
        raise RuntimeUnavailable("the network is gone")

    before_write_of(name, first, monkeypatch, stop)
    with pytest.raises(RuntimeUnavailable):
        first.send()
    again = machine("a")
    assert holds(again) == {"another": "1", "state": "1"}
    again.send()
    assert holds(machine("b")) == {"another": "1", "state": "1"}


def test_a_folder_is_claimed_once_and_not_each_time(machine, monkeypatch):
    first, written = machine("a"), []
    really = first.store.write_if
    monkeypatch.setattr(first.store, "write_if", lambda name, *rest: (written.append(name), really(name, *rest))[1])
    for state in "12":
        put(first, state=state)
        first.send()
    put(again := machine("a"), state="3")
    again.send()
    assert written == [INDEX_NAME, *("state", INDEX_NAME) * 3]


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_machine_that_stops_while_sending_leaves_what_can_be_gone_on_with(machine, monkeypatch, failing):
    first = machine("a")
    put(first, state1="1", best="1")
    first.send()
    put(first, state2="2", best="2", zlast="z")
    calls, really = iter(range(1, 10)), first.store.write_if

    def write_if(*sent):
        if next(calls) == failing:
            raise RuntimeUnavailable("the network is gone")
        return really(*sent)

    monkeypatch.setattr(first.store, "write_if", write_if)
    with pytest.raises(RuntimeUnavailable):
        first.send()
    monkeypatch.undo()
    second = machine("b")
    found = holds(second)
    assert set(found) == {"state1", "best"} and found["state1"] == "1" and found["best"] in ("1", "2")
    first.send()
    assert holds(machine("b")) == {"state1": "1", "state2": "2", "best": "2", "zlast": "z"}


def test_a_file_that_vanishes_while_it_is_sent_is_left_out(machine, monkeypatch):
    first = machine("a")
    put(first, a="a", b="b")
    before_write_of("a", first, monkeypatch, (first.folder / "b").unlink)
    first.send()
    assert holds(machine("b")) == {"a": "a"}


def test_an_emptied_cloud_folder_empties_nobody(machine, capsys):
    first = machine("a")
    put(first, state="1")
    first.send()
    for name in first.store.list():
        first.store.delete(name)
    again = machine("a")
    assert holds(again) == {} and (again.folder / ".unsent/1/state").read_text() == "1"
    put(again, state="new")
    again.send()
    assert holds(machine("b")) == {"state": "new"}


def test_processes_of_one_machine_may_fetch_together(machine, tmp_path, guarded):
    first = machine("a")
    put(first, **{f"file{n}": str(n) * 100 for n in range(20)})
    first.send()
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(Mirror(tmp_path / "b", guarded).fetch) for _ in range(4)]:
            done.result()
    assert holds(machine("b")) == holds(first) and not (tmp_path / "b" / ".unsent").exists()


def test_a_damaged_index_is_named(machine):
    first = machine("a")
    put(first, state="1")
    first.send()
    first.store.write(INDEX_NAME, b"{}")
    with pytest.raises(BadFile, match=f"{INDEX_NAME}.*is damaged"):
        machine("b")


def test_a_folder_is_the_copy_of_one_cloud_folder_only(machine, tmp_path):
    machine("a")
    with pytest.raises(BadFile, match="is the copy of .*, not of elsewhere"):
        Mirror(tmp_path / "a", MemoryStore("elsewhere"))


def test_a_bucket_has_one_working_copy_on_a_machine(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMOLIBS_CACHE", str(tmp_path))
    mirror = working_copy("gs://bucket/runs/a")
    assert mirror.folder == tmp_path / "copies/bucket/runs/a" and mirror_of(mirror.folder) is None
    mirror.fetch()
    deep = mirror.folder / "folds/0"
    deep.mkdir(parents=True)
    assert mirror_of(deep).folder == mirror.folder and mirror_of(tmp_path) is None
