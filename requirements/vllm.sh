#!/bin/sh
# Makes the virtual environment $1 from the locks of vLLM: its packages and the lifecycle's do not go together.
set -eu
venv=$1
"$PYTHON" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
    echo "no vLLM: it is locked for Python 3.11 alone, and $PYTHON is another: name one, make vllm PYTHON=python3.11" >&2
    exit 1
}
[ -x "$venv/bin/python" ] || "$PYTHON" -m venv "$venv"
echo "installing vLLM into $venv (some minutes, once)"
kind=cpu
command -v nvidia-smi >/dev/null 2>&1 && kind=cuda
"$venv/bin/python" -m pip --disable-pip-version-check install -q --require-hashes --no-deps \
    -r requirements/vllm-$kind.txt -r requirements/torch-$kind.txt || {
    [ $kind = cuda ] || echo "no vLLM: pip must know torch 2.13.0+cpu, from PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL" >&2
    exit 1
}
# With this project, vLLM knows CrystalCoder: it looks for plugins among the installed distributions.
"$venv/bin/python" -m pip --disable-pip-version-check install -q --no-deps --no-build-isolation -e .
[ $kind = cpu ] || exit 0
# PyPI's torchvision is compiled for CUDA: on torch for CPUs its operations do not load, and registering something for
# two of them ends the import. vLLM needs none of them.
: > "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torchvision/_meta_registrations.py"
