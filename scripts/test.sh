#!/usr/bin/env bash
# Set up, then run the tests. Further arguments go to pytest: bash scripts/test.sh tests/losses -k dice
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh "$@"
arguments=()
for argument in "$@"; do [ "$argument" = "--no-venv" ] || arguments+=("$argument"); done
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
# Many tests start processes of their own: what one has compiled of torch, the next should read.
unset PYTHONDONTWRITEBYTECODE
# One process per core, whole files each, so that what a file shares is made once, in the order of tests/conftest.py.
exec "$MAMMOLIBS_PYTHON" -m pytest -n "${MAMMOLIBS_TEST_PROCESSES:-2}" --dist loadfile --no-loadscope-reorder "${arguments[@]}"
