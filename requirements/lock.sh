#!/bin/sh
# Resolves pyproject.toml again into hash-pinned files that name no registry. Needs uv on PATH.
# The CPU build of torch is looked for where PIP_FIND_LINKS points. Versions stay as they are; UPGRADE=1 takes the newest.
set -eu
cd "$(dirname "$0")"
options="--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate -q"
links=${PIP_FIND_LINKS:+--find-links "$PIP_FIND_LINKS"}
all=$(mktemp) peers=$(mktemp) cuda=$(mktemp)
cat base.txt torch-cpu.txt > "$all"
uv pip compile ../pyproject.toml --extra dev $options ${UPGRADE:+--upgrade} $links -o "$all"
cat "$all" peers.txt > "$peers"
uv pip compile ../pyproject.toml --extra dev --extra peers $options $links -o "$peers"
echo 'torch==2.13.0' | uv pip compile - $options -o "$cuda"
python3 split_lock.py "$all" "$peers" "$cuda"
rm -f "$all" "$peers" "$cuda"
