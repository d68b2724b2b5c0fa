#!/usr/bin/env bash
# Set up, then the whole pipeline: data, encoder, autoencoder, U-Net, ResNet, report.
#   bash train/train.sh                              # on synthetic mammograms, minutes on two CPU cores
#   bash train/train.sh --source mias=PATH           # on real data; PATH is a folder or an archive
#   bash train/train.sh --source mias=PATH --folds 5 # cross-validated by patient
#   bash train/train.sh --source mias=PATH --seeds 3 # how much of a figure is the seed
#   bash train/train.sh --source mias=PATH --source cmmd=PATH --leave-one-source-out   # train on one, judge on the other, both ways
#   bash train/train.sh --source cmmd=PATH --option cmmd.other_breast=normal   # an option of a source, docs/data.md
#   bash train/train.sh --dry-run                    # time, disk and memory beforehand
# Finished stages are skipped; an interrupted run goes on where it stopped. All flags: --help
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/setup.sh" "$@"
arguments=()
for argument in "$@"; do [ "$argument" = "--no-venv" ] || arguments+=("$argument"); done
exec "$MAMMOLIBS_PYTHON" -m mammolibs.pipeline "${arguments[@]}"
