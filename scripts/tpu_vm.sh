#!/usr/bin/env bash
# TPU VMs of Google Cloud, one host or many: make one, install, run, watch, fetch the results, delete.
#
#   bash scripts/tpu_vm.sh create --type v5litepod-8 --zone us-west4-a    # or: queue, which waits for a free one
#   bash scripts/tpu_vm.sh install                                        # these sources, on every host
#   bash scripts/tpu_vm.sh run -- bash train/train.sh --preset standard   # on every host; the connection may drop
#   bash scripts/tpu_vm.sh logs                                           # follow host 0; --worker 2 for another
#   bash scripts/tpu_vm.sh status
#   bash scripts/tpu_vm.sh stop                                           # ends it, its state saved; run goes on there
#   bash scripts/tpu_vm.sh fetch --run runs/default                       # weights and report, to runs/mammolibs-default
#   bash scripts/tpu_vm.sh delete                                         # and all that lies on its disks
#   bash scripts/tpu_vm.sh ssh -- df -h                                   # any command on every host, waited for
#
# every one     --name NAME (mammolibs)  --zone ZONE  --project PROJECT (these two: as gcloud is set)
#               --dry-run: print the commands, one a line, and run none
# create queue  --type TYPE (v5litepod-8)  --version VERSION (by type)  --spot; after --: further flags for gcloud
# install       --here (default: copies these sources)  --repo URL (clones it)  --worker W (all)
# run           --keep-going (start again while it ends with 75: told to stop, state saved)  --worker W (all)
# ssh stop      --worker W (all)
# logs          --worker N (0)
# fetch         --run FOLDER (runs/default)  --to FOLDER (runs/<name>-<run>)  --all (data too)  --worker N (0)
# status delete --queued: of a queued request; delete --yes asks nothing
#
# docs/tpu.md has a whole run from nothing to the report, and what to do when something goes wrong.
set -euo pipefail

WORDS="create queue install run stop ssh logs status fetch delete"
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/mammolibs/tpu_vm"
LOGS="$HOME/mammolibs-logs"
UNIT=mammolibs

fail() {
    printf '%s\n' "$1" >&2
    exit 2
}

flags_of() {
    case "$1" in
        create | queue) echo "--type --version --spot" ;;
        install) echo "--here --repo --worker" ;;
        run) echo "--keep-going --worker" ;;
        stop | ssh | logs) echo "--worker" ;;
        fetch) echo "--run --to --all --worker" ;;
        status) echo "--queued" ;;
        delete) echo "--queued --yes" ;;
    esac
}

# nearest WRONG WORD...: the closest word, as a half sentence, or nothing where none is close.
nearest() {
    local wrong="$1"
    shift
    printf '%s\n' "$@" | awk -v a="$wrong" '
        function least(x, y, z) { x = x < y ? x : y; return x < z ? x : z }
        {
            n = length(a); m = length($0)
            for (i = 0; i <= n; i++) d[i, 0] = i
            for (j = 0; j <= m; j++) d[0, j] = j
            for (i = 1; i <= n; i++)
                for (j = 1; j <= m; j++)
                    d[i, j] = least(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + (substr(a, i, 1) != substr($0, j, 1)))
            if (best == "" || d[n, m] < low) { best = $0; low = d[n, m] }
        }
        END { if (low <= length(best) / 2) printf "; did you mean %s", best }'
}

parse() {
    name=mammolibs zone="" project="" dry_run="" type=v5litepod-8 version="" spot="" repo="" here="" keep_going=""
    worker="" run=runs/default to="" all="" queued="" yes="" rest=()
    local known flag value
    known="--name --zone --project --dry-run $(flags_of "$word")"
    while [ $# -gt 0 ]; do
        if [ "$1" = -- ]; then
            shift
            rest=("$@")
            return
        fi
        flag="${1%%=*}" value=""
        # shellcheck disable=SC2086
        [[ " $known " == *" $flag "* ]] || fail "$word $1: no such flag$(nearest "$flag" $known); it takes $known"
        case "$flag" in
            --dry-run | --spot | --here | --keep-going | --all | --queued | --yes) value=1 ;;
            "$1") [ $# -eq 1 ] || { value="$2" && shift; } ;;
            *) value="${1#*=}" ;;
        esac
        [[ -n "$value" && "$value" != --* ]] || fail "$flag: needs a value; bash scripts/tpu_vm.sh --help shows which"
        flag="${flag#--}"
        printf -v "${flag//-/_}" '%s' "$value"
        shift
    done
}

check() {
    [[ "$name" =~ ^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$ ]] || fail "--name $name: small letters, digits and hyphens, a letter first, such as mammolibs-1"
    [[ -z "$zone" || "$zone" =~ ^[a-z]+-[a-z]+[0-9]+-[a-z0-9]+$ ]] || fail "--zone $zone: a zone, such as us-west4-a (a region and a letter)"
    [ -z "$here" ] || [ -z "$repo" ] || fail "--here and --repo: one of them; --here copies these sources, --repo clones an address"
    case "$word" in
        logs | fetch) [[ "$worker" =~ ^[0-9]*$ ]] || fail "--worker $worker: one host's number, such as 0" ;;
        *) [[ "$worker" =~ ^(all|[0-9]+([-,][0-9]+)*)?$ ]] || fail "--worker $worker: all, a number, a list such as 0,2 or a range such as 0-3" ;;
    esac
    case "$word" in
        run | ssh) [ "${#rest[@]}" -gt 0 ] || fail "$word: no command; give it after --, such as: $word -- python train/unet/finetune.py" ;;
        create | queue) choose_version ;;
        *) [ "${#rest[@]}" -eq 0 ] || fail "$word -- ${rest[0]}: takes no command; run and ssh do" ;;
    esac
}

# By type: docs.cloud.google.com/tpu/docs/runtimes, "TPU software versions".
choose_version() {
    case "$type" in
        v5e-*) fail "--type $type: gcloud's name of it is v5litepod-${type#v5e-}" ;;
        v5litepod-[1-9]*) version="${version:-v2-alpha-tpuv5-lite}" ;;
        v5p-[1-9]*) version="${version:-v2-alpha-tpuv5}" ;;
        v6e-[1-9]*) version="${version:-v2-alpha-tpuv6e}" ;;
        v[234]-[1-9]*) version="${version:-tpu-ubuntu2204-base}" ;;
        *) [ -n "$version" ] || fail "--type $type: known are v5litepod-8, v5p-8, v6e-8 and their other sizes; for another kind add --version" ;;
    esac
}

quoted() {
    local argument line=""
    for argument in "$@"; do
        if [[ "$argument" =~ ^[-A-Za-z0-9_./:=@%+,]+$ ]]; then
            line="$line $argument"
        else
            line="$line '$(printf '%s' "$argument" | sed "s/'/'\\\\''/g")'"
        fi
    done
    printf '%s\n' "${line# }"
}

# Run a command and show it, or with --dry-run print it only.
do_it() {
    if [ -n "$dry_run" ]; then
        quoted "$@"
    else
        printf '+ %s\n' "$(quoted "$@")" >&2
        "$@"
    fi
}

tpus() {
    do_it gcloud compute tpus "$@" ${zone:+"--zone=$zone"} ${project:+"--project=$project"}
}

on_hosts() {
    tpus tpu-vm ssh "$name" "--worker=${worker:-all}" "--command=$1"
}

act() {
    local worker_script="bash mammolibs/scripts/tpu_vm.sh"
    case "$word" in
        create) tpus tpu-vm create "$name" "--accelerator-type=$type" "--version=$version" ${spot:+--spot} ${rest[@]+"${rest[@]}"} ;;
        queue)
            tpus queued-resources create "$name" "--node-id=$name" "--accelerator-type=$type" "--runtime-version=$version" \
                ${spot:+--spot} ${rest[@]+"${rest[@]}"}
            ;;
        install) send_sources "$worker_script worker-install" ;;
        run) on_hosts "$worker_script worker-start ${keep_going:+--keep-going }-- $(quoted "${rest[@]}")" ;;
        stop) on_hosts "$worker_script worker-stop" ;;
        ssh) on_hosts "$(quoted "${rest[@]}")" ;;
        logs) worker="${worker:-0}" && on_hosts "tail -n 200 -F mammolibs-logs/run.log" ;;
        status)
            if [ -n "$queued" ]; then
                tpus queued-resources describe "$name" "--format=value(state.state)"
            else
                tpus tpu-vm describe "$name" "--format=value(state,health,acceleratorType)"
                on_hosts "$worker_script worker-status"
            fi
            ;;
        fetch) fetch_run ;;
        delete) if [ -n "$queued" ]; then tpus queued-resources delete "$name" --force ${yes:+--quiet}; else tpus tpu-vm delete "$name" ${yes:+--quiet}; fi ;;
    esac
}

send_sources() {
    if [ -n "$repo" ]; then
        on_hosts "if [ -d mammolibs/.git ]; then git -C mammolibs pull --ff-only; else git clone --depth 1 $(quoted "$repo") mammolibs; fi && $1"
        return
    fi
    local archive="$CACHE/$name.tgz" part unwanted=(--exclude=__pycache__)
    for part in .git '.venv*' .whl .pytest_cache runs build dist phantoms findings; do unwanted+=("--exclude=./$part"); done
    do_it mkdir -p "$CACHE"
    do_it tar -czf "$archive" "${unwanted[@]}" -C "$ROOT" .
    tpus tpu-vm scp "$archive" "$name:mammolibs.tgz" "--worker=${worker:-all}"
    on_hosts "mkdir -p mammolibs && tar -xzf mammolibs.tgz -C mammolibs && $1"
}

fetch_run() {
    local archive="$CACHE/$name-fetch.tgz" target="${to:-runs/$name-$(basename "$run")}" without=""
    [ -n "$all" ] || without="--exclude=./data --exclude=./phantoms --exclude='./folds/*/data' "
    worker="${worker:-0}"
    on_hosts "cd mammolibs && tar -czf ../mammolibs-fetch.tgz -C $(quoted "$run") $without."
    do_it mkdir -p "$CACHE" "$target"
    tpus tpu-vm scp "$name:mammolibs-fetch.tgz" "$archive" "--worker=$worker"
    do_it tar -xzf "$archive" -C "$target"
}

# What follows runs on the TPU's own hosts.

worker_install() {
    cd "$ROOT"
    if [ ! -x .venv/bin/python ]; then
        # The images of TPU VMs bring Python 3.10, mammolibs needs 3.11: uv finds one or fetches it.
        PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --quiet --user "uv==$(sed -n 's/.*uv_version=\([0-9.]*\).*/\1/p' scripts/setup.sh)"
        python3 -m uv venv --quiet --seed --python 3.11 .venv
    fi
    bash scripts/setup.sh
    .venv/bin/python -m uv pip install --quiet --python .venv/bin/python 'torch_xla[tpu]==2.9.0'
    .venv/bin/python -c "from mammolibs.runtime.tpu_chips import require_tpu; print('$(hostname): installed,', require_tpu(), 'TPU chips')"
}

# worker_start [--keep-going] -- COMMAND: as a service of the system, which outlives the connection.
worker_start() {
    local keep=""
    [ "$1" = -- ] || keep="$1"
    while [ "$1" != -- ]; do shift; done
    ! systemctl is-active --quiet "$UNIT" || fail "$(hostname): a run is going on; follow it with logs, or end it with stop (its state is saved)"
    mkdir -p "$LOGS"
    rm -f "$LOGS/run.exit"
    shift
    printf '%q ' "$@" >"$LOGS/run.command"
    # KillMode=mixed: SIGTERM goes to this script alone, which hands it to the training process; loader workers that
    # die of it would take the last step with them. MEMLOCK: the TPU library pins memory.
    sudo systemd-run --quiet --collect "--unit=$UNIT" "--uid=$(id -u)" "--gid=$(id -g)" "--setenv=HOME=$HOME" \
        --property=KillMode=mixed --property=TimeoutStopSec=600 --property=LimitMEMLOCK=infinity --property=LimitNOFILE=1048576 \
        bash "$ROOT/scripts/tpu_vm.sh" worker-loop ${keep:+"$keep"}
    echo "$(hostname): started, log in $LOGS/run.log"
}

# worker_loop [--keep-going]: run.command once, or again while it ends with 75. Output to run.log, exit code to run.exit.
worker_loop() {
    local command child="" code told="" interrupted
    cd "$ROOT"
    export PATH="$ROOT/.venv/bin:$PATH" PJRT_DEVICE="${PJRT_DEVICE:-TPU}" PYTHONUNBUFFERED=1
    eval "command=($(cat "$LOGS/run.command"))"
    trap 'told=1 interrupted=1; kill -TERM "$child" 2>/dev/null || true' TERM
    while [ -z "$told" ]; do
        note "start: $(quoted "${command[@]}")"
        "${command[@]}" >>"$LOGS/run.log" 2>&1 &
        child=$! interrupted=1
        # A signal ends wait before the process has ended.
        while [ -n "$interrupted" ]; do
            code=0 interrupted=""
            wait "$child" || code=$?
        done
        note "end: exit code $code"
        echo "$code" >"$LOGS/run.exit"
        [ "$code" = 75 ] && [ "${1:-}" = --keep-going ] && [ -z "$told" ] || exit "$code"
        sleep "${MAMMOLIBS_RESTART_SECONDS:-5}"
    done
}

note() {
    printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" >>"$LOGS/run.log"
}

worker_stop() {
    sudo systemctl stop "$UNIT" 2>/dev/null || true
    worker_status
}

worker_status() {
    local state="no run" last=""
    # A progress bar writes many states of itself into one line.
    [ ! -f "$LOGS/run.log" ] || last="$(tail -c 4000 "$LOGS/run.log" | tr '\r' '\n' | awk 'NF && !/Z end: exit code/ { line = $0 } END { print line }')"
    [ ! -f "$LOGS/run.exit" ] || state="ended with exit code $(cat "$LOGS/run.exit")"
    ! systemctl is-active --quiet "$UNIT" || state=running
    echo "$(hostname): $state${last:+; $last}"
}

word="${1:-}"
[ $# -eq 0 ] || shift
case "$word" in
    "") fail "no sub-command; one of: $WORDS (--help explains them)" ;;
    -h | --help | help) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}" ;;
    worker-install | worker-start | worker-loop | worker-stop | worker-status) "${word//-/_}" "$@" ;;
    *)
        # shellcheck disable=SC2086
        [[ " $WORDS " == *" $word "* ]] || fail "$word: no such sub-command$(nearest "$word" $WORDS); there are: $WORDS"
        parse "$@"
        check
        [ -n "$dry_run" ] || command -v gcloud >/dev/null ||
            fail "gcloud is not installed; see https://cloud.google.com/sdk/docs/install, then: gcloud auth login (--dry-run needs none)"
        act
        ;;
esac
