#!/usr/bin/env bash
# Make .venv with the pinned requirements and mammolibs in it; the second run returns at once.
#   bash scripts/setup.sh              # .venv beside the sources
#   bash scripts/setup.sh --no-venv    # into the environment that is active now
# Sourced by train.sh and test.sh, which then find the interpreter in $MAMMOLIBS_PYTHON.
set -euo pipefail

mammolibs_setup() {
    local root needed_gb=10 uv_version=0.13.9 use_venv=1 argument python stamp wanted
    root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
    for argument in "$@"; do [ "$argument" = "--no-venv" ] && use_venv=0; done

    if [ "$use_venv" = 1 ]; then
        python="$root/.venv/bin/python"
        stamp="$root/.venv/.mammolibs-setup"
    else
        python="$(command -v python || command -v python3 || true)"
        if [ -z "$python" ] || ! mammolibs_fits "$python"; then
            echo "--no-venv: the active Python (${python:-none}) is not 3.11 or 3.12; activate an environment that has one, or leave the flag out" >&2
            return 2
        fi
        stamp="$("$python" -c 'import sys; print(sys.prefix)')/.mammolibs-setup"
    fi
    export MAMMOLIBS_PYTHON="$python"
    wanted="$root $(cat "$root/requirements.txt" "$root/setup.py" | sha256sum | cut -c1-16)"
    if [ -x "$python" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then return 0; fi

    echo "Setting up mammolibs (once; about 7 GB, one to three minutes)."
    local free_gb
    free_gb=$(( $(df -Pk "$root" | awk 'NR==2 {print $4}') / 1048576 ))
    if [ "$free_gb" -lt "$needed_gb" ]; then
        echo "$root: $free_gb GB free, $needed_gb GB needed for PyTorch and PyTorch/XLA; free some disk space" >&2
        return 2
    fi
    if [ "$use_venv" = 1 ] && [ ! -x "$python" ]; then
        local base
        base="$(mammolibs_base_python)" || return 2
        "$base" -m venv "$root/.venv"
    fi
    "$python" -m pip install --quiet "uv==$uv_version" || true
    if "$python" -m uv --version >/dev/null 2>&1; then
        "$python" -m uv pip install --quiet --python "$python" -r "$root/requirements.txt"
        "$python" -m uv pip install --quiet --python "$python" --no-deps -e "$root"
    else
        "$python" -m pip install --quiet -r "$root/requirements.txt"
        "$python" -m pip install --quiet --no-deps -e "$root"
    fi
    TF_CPP_MIN_LOG_LEVEL=2 "$python" -c "import torch, torch_xla, mammolibs" || {
        echo "PyTorch or PyTorch/XLA does not import; delete $root/.venv and run scripts/setup.sh again" >&2
        return 2
    }
    echo "$wanted" > "$stamp"
    echo "Set up. To use the scripts by hand: source .venv/bin/activate"
}

mammolibs_fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null
}

mammolibs_base_python() {
    local candidate
    for candidate in python3.11 python3.12 python3 python; do
        if command -v "$candidate" >/dev/null && mammolibs_fits "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    echo "no Python 3.11 or 3.12 found; install one (PyTorch/XLA 2.9 supports no newer Python)" >&2
    return 2
}

mammolibs_setup "$@"
