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
if ! command -v nvidia-smi >/dev/null 2>&1; then
    echo "building DeepSpeed's shared-memory communication for the CPU (once)"
    rm -f "$venv"/torch_extensions/*/lock  # of a build that was killed: the next one would wait for it for ever
    DS_ACCELERATOR=cpu "$venv/bin/python" -c '
import os
from web2code.services import compiler_environment
os.environ.update(compiler_environment())
from deepspeed.accelerator import get_accelerator
get_accelerator().create_op_builder("ShareMemCommBuilder").load(verbose=False)' >/dev/null 2>&1 ||
        echo "no C++ compiler: DeepSpeed will communicate without shared memory"
fi
