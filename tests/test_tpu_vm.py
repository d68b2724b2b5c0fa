"""scripts/tpu_vm.sh prints what it would run, runs what it prints, and its hosts' half keeps exit codes."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "tpu_vm.sh"
MANUAL = ROOT / "docs" / "tpu.md"
WORDS = ("create", "queue", "install", "run", "stop", "ssh", "logs", "status", "fetch", "delete")
WORKER = "bash mammolibs/scripts/tpu_vm.sh"

FAKE_GCLOUD = """#!/usr/bin/env bash
{ printf '%q ' gcloud "$@"; echo; } >> "$FAKE_CALLS"
[ "$3 $4" = "${FAKE_FAILS:-}" ] && exit 7
case "$4" in
    ssh) for argument in "$@"; do case "$argument" in --command=*) cd "$FAKE_HOST" && HOME="$FAKE_HOST" exec bash -c "${argument#--command=}" ;; esac; done ;;
    scp) cp "${5/#*:/$FAKE_HOST/}" "${6/#*:/$FAKE_HOST/}" ;;
esac
"""
# systemd-run --flags COMMAND: the command at once, as the service would be.
FAKE_SUDO = """#!/usr/bin/env bash
{ printf '%q ' "$@"; echo; } >> "$FAKE_SUDOS"
[ "$1" = systemd-run ] || exit 0
while [[ "$2" == --* ]]; do shift; done
shift
"$@" || true
"""


@pytest.fixture
def place(tmp_path):
    """Environment with a fake gcloud whose one host is a folder; `calls()` gives what gcloud was told."""
    host, bin_folder = tmp_path / "host", tmp_path / "bin"
    (host / "mammolibs" / "scripts").mkdir(parents=True)
    shutil.copy(SCRIPT, host / "mammolibs" / "scripts")
    bin_folder.mkdir()
    for name, text in (("gcloud", FAKE_GCLOUD), ("sudo", FAKE_SUDO), ("systemctl", "#!/bin/sh\nexit ${FAKE_RUNS:-3}\n")):
        (bin_folder / name).write_text(text)
        (bin_folder / name).chmod(0o755)
    return {
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "FAKE_HOST": str(host),
        "FAKE_CALLS": str(tmp_path / "calls"),
        "FAKE_SUDOS": str(tmp_path / "sudos"),
        "MAMMOLIBS_RESTART_SECONDS": "0",
    }


def tpu_vm(*arguments, env, cwd=ROOT):
    return subprocess.run(["bash", str(SCRIPT), *arguments], capture_output=True, text=True, env=env, cwd=cwd, timeout=30)


def dry(*arguments, env):
    """The commands that would be run, as words. --dry-run stands before what follows --."""
    done = tpu_vm(arguments[0], "--dry-run", *arguments[1:], env=env)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [shlex.split(line) for line in done.stdout.splitlines()]


def gcloud(text):
    return ["gcloud", "compute", "tpus", *shlex.split(text)]


def on_hosts(command, worker="all"):
    return [*gcloud(f"tpu-vm ssh mammolibs --worker={worker}"), f"--command={command}"]


ONE_COMMAND = [
    (["create"], gcloud("tpu-vm create mammolibs --accelerator-type=v5litepod-8 --version=v2-alpha-tpuv5-lite")),
    (
        ["create", "--name", "big", "--type=v6e-16", "--spot", "--zone", "us-east1-d", "--project", "mine", "--", "--network=own"],
        gcloud(
            "tpu-vm create big --accelerator-type=v6e-16 --version=v2-alpha-tpuv6e --spot --network=own --zone=us-east1-d --project=mine"
        ),
    ),
    (["create", "--type", "v5p-8"], gcloud("tpu-vm create mammolibs --accelerator-type=v5p-8 --version=v2-alpha-tpuv5")),
    (["create", "--type", "v4-8"], gcloud("tpu-vm create mammolibs --accelerator-type=v4-8 --version=tpu-ubuntu2204-base")),
    (["create", "--type", "other-8", "--version", "own"], gcloud("tpu-vm create mammolibs --accelerator-type=other-8 --version=own")),
    (
        ["queue", "--spot", "--type", "v5litepod-16"],
        gcloud(
            "queued-resources create mammolibs --node-id=mammolibs --accelerator-type=v5litepod-16 "
            "--runtime-version=v2-alpha-tpuv5-lite --spot"
        ),
    ),
    (["run", "--", "python", "a.py", "--x", "y z"], on_hosts(f"{WORKER} worker-start -- python a.py --x 'y z'")),
    (["run", "--keep-going", "--worker", "0", "--", "true"], on_hosts(f"{WORKER} worker-start --keep-going -- true", worker="0")),
    (["stop"], on_hosts(f"{WORKER} worker-stop")),
    (["ssh", "--worker", "0-3", "--", "df", "-h"], on_hosts("df -h", worker="0-3")),
    (["logs"], on_hosts("tail -n 200 -F mammolibs-logs/run.log", worker="0")),
    (["logs", "--worker", "2"], on_hosts("tail -n 200 -F mammolibs-logs/run.log", worker="2")),
    (["status", "--queued"], gcloud("queued-resources describe mammolibs '--format=value(state.state)'")),
    (["delete"], gcloud("tpu-vm delete mammolibs")),
    (["delete", "--queued", "--yes"], gcloud("queued-resources delete mammolibs --force --quiet")),
]


@pytest.mark.parametrize(("arguments", "expected"), ONE_COMMAND, ids=lambda x: " ".join(x) if x[0] != "gcloud" else "")
def test_one_command_each(place, arguments, expected):
    assert dry(*arguments, env=place) == [expected]


def test_install_copies_the_sources_or_clones_them(place):
    make, pack, send, unpack = dry("install", env=place)
    archive = f"{place['HOME']}/.cache/mammolibs/tpu_vm/mammolibs.tgz"
    assert make[:2] == ["mkdir", "-p"]
    assert pack[:3] == ["tar", "-czf", archive] and pack[-3:] == ["-C", str(ROOT), "."]
    assert {"--exclude=./.venv*", "--exclude=./runs", "--exclude=./.git"} <= set(pack)
    assert send == gcloud(f"tpu-vm scp {archive} mammolibs:mammolibs.tgz --worker=all")
    assert unpack == on_hosts(f"mkdir -p mammolibs && tar -xzf mammolibs.tgz -C mammolibs && {WORKER} worker-install")
    [clone] = dry("install", "--repo", "https://example.org/a.git", env=place)
    assert "git clone --depth 1 https://example.org/a.git mammolibs; fi && " in clone[-1] and clone[-1].endswith("worker-install")


def test_install_brings_the_pinned_pytorch_xla():
    pinned = re.search(r"^torch-xla==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)[1]
    for path in (SCRIPT, ROOT / "deploy" / "Dockerfile"):
        assert f"'torch_xla[tpu]=={pinned}'" in path.read_text(), path


def test_status_asks_for_the_machine_and_then_its_hosts(place):
    assert dry("status", env=place) == [
        gcloud("tpu-vm describe mammolibs '--format=value(state,health,acceleratorType)'"),
        on_hosts(f"{WORKER} worker-status"),
    ]


def test_fetch_leaves_the_data_there_unless_asked(place):
    pack, _, copy, unpack = dry("fetch", "--run", "/mnt/mammo/runs/mine", env=place)
    assert "-C /mnt/mammo/runs/mine --exclude=./data" in pack[-1] and "--worker=0" in pack
    assert copy[:7] == gcloud("tpu-vm scp mammolibs:mammolibs-fetch.tgz " + unpack[2])
    assert unpack[-2:] == ["-C", "runs/mammolibs-mine"]
    pack, *_, unpack = dry("fetch", "--all", "--to", "here", env=place)
    assert pack[-1].endswith("-C runs/default .") and unpack[-1] == "here"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no sub-command; one of: create queue"),
        (["creat"], "did you mean create"),
        (["lgos"], "did you mean logs"),
        (["create", "--typ", "v6e-8"], "did you mean --type"),
        (["create", "--keep-going"], "create --keep-going: no such flag"),
        (["create", "--name"], "--name: needs a value"),
        (["create", "--name", "--spot"], "--name: needs a value"),
        (["create", "--name", "My TPU"], "--name My TPU: small letters"),
        (["create", "--zone", "us-west4"], "--zone us-west4: a zone, such as us-west4-a"),
        (["create", "--type", "v5e-8"], "gcloud's name of it is v5litepod-8"),
        (["create", "--type", "h100"], "for another kind add --version"),
        (["install", "--here", "--repo", "x"], "--here and --repo: one of them"),
        (["run"], "no command; give it after --"),
        (["run", "--worker", "first", "--", "true"], "--worker first: all, a number"),
        (["logs", "--worker", "all"], "--worker all: one host's number"),
        (["delete", "--", "now"], "takes no command"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(place, arguments, said):
    done = tpu_vm(*arguments, env=place)
    assert done.returncode == 2 and done.stdout == ""
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not Path(place["FAKE_CALLS"]).exists()


def test_without_gcloud_it_says_where_to_get_it(place, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "sed", "awk", "basename"):
        (tools / name).symlink_to(shutil.which(name))
    place |= {"PATH": str(tools)}
    done = tpu_vm("create", env=place)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "gcloud is not installed" in done.stderr
    assert dry("create", env=place)


def test_help_names_every_word(place):
    done = tpu_vm("--help", env=place)
    assert done.returncode == 0 and "set -euo" not in done.stdout
    assert all(f"tpu_vm.sh {word}" in done.stdout for word in WORDS if word != "queue")
    assert "queue" in done.stdout


@pytest.mark.parametrize("arguments", [["create", "--spot"], ["queue"], ["delete", "--yes"], ["ssh", "--", "echo", "a b", "it's", "$x"]])
def test_what_is_printed_is_what_is_run(place, arguments):
    expected = dry(*arguments, env=place)
    done = tpu_vm(*arguments, env=place)
    assert done.returncode == 0
    assert [shlex.split(line) for line in Path(place["FAKE_CALLS"]).read_text().splitlines()] == expected
    assert [shlex.split(line[2:]) for line in done.stderr.splitlines()] == expected, "each command is shown"
    if arguments[0] == "ssh":
        assert done.stdout == "a b it's $x\n"


@pytest.mark.parametrize("arguments", [["create"], ["status"], ["fetch"], ["delete"]])
def test_a_failing_gcloud_ends_it_with_its_code(place, arguments):
    verb = dry(*arguments, env=place)[0][3:5]
    assert tpu_vm(*arguments, env=place | {"FAKE_FAILS": " ".join(verb)}).returncode == 7
    assert len(Path(place["FAKE_CALLS"]).read_text().splitlines()) == 1, "nothing follows a command that failed"


def test_fetch_brings_the_run(place, tmp_path):
    run = Path(place["FAKE_HOST"]) / "mammolibs" / "runs" / "default"
    for name in ("report/report.html", "data/shards/big.tar", "unet/best.json", "folds/0/data/big.tar", "folds/0/run.json"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    assert tpu_vm("fetch", env=place, cwd=tmp_path).returncode == 0
    brought = tmp_path / "runs" / "mammolibs-default"
    assert {p.relative_to(brought).as_posix() for p in brought.rglob("*") if p.is_file()} == {
        "report/report.html", "unet/best.json", "folds/0/run.json",
    }  # fmt: skip


def run_on_host(place, *arguments):
    """`tpu_vm.sh run`; returns the log and the exit code that the host keeps."""
    done = tpu_vm("run", *arguments, env=place)
    logs = Path(place["FAKE_HOST"]) / "mammolibs-logs"
    return done, (logs / "run.log").read_text(), (logs / "run.exit").read_text().strip()


def test_run_keeps_words_output_and_exit_code(place):
    code = "import os, sys; print(sys.argv[1:], os.environ['PJRT_DEVICE']); sys.exit(3)"
    done, log, kept = run_on_host(place, "--", "python3", "-c", code, "a b", "it's", "$HOME %i")
    assert done.returncode == 0 and "started, log in" in done.stdout
    assert """['a b', "it's", '$HOME %i'] TPU""" in log
    assert kept == "3" and log.rstrip().endswith("end: exit code 3")
    told = Path(place["FAKE_SUDOS"]).read_text()
    assert "--unit=mammolibs" in told and "KillMode=mixed" in told and "LimitMEMLOCK=infinity" in told
    assert "exit code 3" in tpu_vm("status", env=place).stdout


STOPS_TWICE = "n=$(cat tries 2>/dev/null || echo 0); echo $((n + 1)) > tries; [ $n -ge 2 ] || exit 75"


def test_keep_going_starts_again_while_it_ends_with_75(place):
    _, log, kept = run_on_host(place, "--", "bash", "-c", STOPS_TWICE)
    assert (kept, log.count("start: ")) == ("75", 1)
    _, log, kept = run_on_host(place, "--keep-going", "--", "bash", "-c", STOPS_TWICE)
    assert (kept, log.count("start: ")) == ("0", 3)


def test_a_second_run_is_refused_while_one_goes_on(place):
    done = tpu_vm("run", "--", "true", env=place | {"FAKE_RUNS": "0"})
    assert done.returncode == 2 and "a run is going on" in done.stderr
    assert "running" in tpu_vm("status", env=place | {"FAKE_RUNS": "0"}).stdout


def test_sigterm_reaches_the_command_and_its_own_exit_code_is_kept(place):
    host = Path(place["FAKE_HOST"])
    logs = host / "mammolibs-logs"
    logs.mkdir()
    (logs / "run.command").write_text(
        shlex.join(["bash", "-c", "trap 'sleep 0.1; echo saved; exit 75' TERM; echo ready; while :; do sleep 0.02; done"])
    )
    command = ["bash", str(host / "mammolibs" / "scripts" / "tpu_vm.sh"), "worker-loop", "--keep-going"]
    with subprocess.Popen(command, env=place | {"HOME": str(host)}) as loop:
        deadline = time.monotonic() + 20
        while not (logs / "run.log").exists() or "\nready\n" not in (logs / "run.log").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        loop.send_signal(signal.SIGTERM)
        assert loop.wait(10) == 75
    assert (logs / "run.exit").read_text() == "75\n"
    assert (logs / "run.log").read_text().count("start: ") == 1, "told to stop, it does not start again"


def test_every_command_of_the_manual_is_accepted(place):
    lines = {re.sub(r"\s+#.*", "", line) for line in re.findall(r"^bash scripts/tpu_vm\.sh .+$", MANUAL.read_text(), re.MULTILINE)}
    assert {shlex.split(line)[2] for line in lines} == set(WORDS)
    for line in sorted(lines):
        assert dry(*shlex.split(line)[2:], env=place), line
