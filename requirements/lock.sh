#!/bin/sh
# Resolves pyproject.toml again into hash-pinned files that name no registry. Needs uv on PATH.
# The CPU build of torch is looked for where PIP_FIND_LINKS points.
set -eu
cd "$(dirname "$0")"
options="--python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate -q"
all=$(mktemp) cuda=$(mktemp)
uv pip compile ../pyproject.toml --extra dev $options ${PIP_FIND_LINKS:+--find-links "$PIP_FIND_LINKS"} -o "$all"
echo 'torch==2.13.0' | uv pip compile - $options -o "$cuda"
python3 split_lock.py "$all" "$cuda"
rm -f "$all" "$cuda"
