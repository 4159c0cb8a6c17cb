#!/bin/sh
# Makes the virtual environment $1 from the committed locks.
set -eu
venv=$1
[ -x "$venv/bin/python" ] || "$PYTHON" -m venv "$venv"
pip="$venv/bin/python -m pip --disable-pip-version-check"
echo "installing the locked dependencies into $venv (some minutes, once)"
$pip install -q --require-hashes --no-deps -r requirements/base.txt
# A CPU build of torch where pip knows one (PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL) and no NVIDIA GPU is here.
if command -v nvidia-smi >/dev/null 2>&1 ||
    ! $pip install -q --require-hashes --no-deps -r requirements/torch-cpu.txt 2>/dev/null; then
    $pip install -q --require-hashes --no-deps -r requirements/torch-cuda.txt
fi
$pip install -q --no-deps --no-build-isolation -e .
