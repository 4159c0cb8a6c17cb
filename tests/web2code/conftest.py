"""A real vLLM, in the environment that `make vllm` makes for it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from web2code.services import HOST, free_port, start_service, stop_service, wait_until_up

PYTHON = Path(__file__).parents[2] / ".venv" / "vllm" / "bin" / "python"
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}


@dataclass(frozen=True)
class Served:
    """A model behind an OpenAI-compatible endpoint, and the checkpoint that it was exported from."""

    url: str
    model: str
    checkpoint: Path


@pytest.fixture(scope="session")
def vllm_server(tmp_path_factory):
    """vLLM with a small LLaVA of random weights."""
    if not PYTHON.exists():
        pytest.skip("vLLM is not installed: make vllm")
    from tests.web2code.modelling.checkpoints import save_llava
    from web2code.modelling.export import export_checkpoint
    from web2code.modelling.templates import TEMPLATES

    folder, port = tmp_path_factory.mktemp("served"), free_port()
    checkpoint = save_llava(folder / "checkpoint", TEMPLATES["mpt"])
    export_checkpoint(checkpoint, folder / "small")
    options = {
        "--model": str(folder / "small"), "--served-model-name": "small", "--host": HOST, "--port": str(port),
        "--dtype": "float32", "--max-model-len": "1024", "--max-num-seqs": "8",
    }  # fmt: skip
    command = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager"]
    command += [part for option in options.items() for part in option]
    service = start_service(folder, "vllm", command, f"http://{HOST}:{port}", {"server": port}, ENVIRONMENT)
    try:
        with pytest.MonkeyPatch.context() as patient:
            patient.setattr("web2code.services.START_SECONDS", 300.0)
            wait_until_up(folder, service, "/health")
        yield Served(f"{service.url}/v1", "small", checkpoint)
    finally:
        stop_service(folder, "vllm")
