#!/usr/bin/env bash
# The tests on a current torch, in an environment of its own (.venv-current): all but those of PyTorch/XLA, which needs torch 2.9.
#   bash scripts/test_current_torch.sh [--torch 2.15.0 --torchvision 0.29.2] [arguments for pytest]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
torch=2.15.0 torchvision=0.29.2
while [ $# -gt 0 ]; do
    case "$1" in
        --torch) torch="$2"; shift 2 ;;
        --torchvision) torchvision="$2"; shift 2 ;;
        *) break ;;
    esac
done
python=.venv-current/bin/python
stamp=.venv-current/.torch-$torch-$torchvision-$(sha256sum requirements.txt | cut -c1-16)
if [ ! -f "$stamp" ]; then
    echo "Setting up .venv-current with torch $torch (once; about 7 GB)."
    base="$(command -v python3.11 || command -v python3.12 || command -v python3)"
    "$base" -m venv .venv-current
    "$python" -m pip install --quiet uv==0.13.9
    # What torch brings along is its own choice; the rest is pinned as ever.
    grep -vE '^(torch|torchvision|torch-xla|triton|nvidia-|sympy|networkx|mpmath|jinja2|fsspec|filelock|typing-extensions)' requirements.txt > .venv-current/rest.txt
    "$python" -m uv pip install --quiet --python "$python" "torch==$torch" "torchvision==$torchvision" -r .venv-current/rest.txt
    "$python" -m uv pip install --quiet --python "$python" --no-deps -e .
    touch "$stamp"
fi
"$python" -c "import torch; print('torch', torch.__version__)"
OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" exec "$python" -m pytest -n "${MAMMOLIBS_TEST_PROCESSES:-2}" --dist loadfile "$@"
