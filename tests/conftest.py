import os
import secrets
import signal

import pytest

from web2code.services import compiler_environment

# A shell that runs the suite in the background has it ignore these, and so would every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# Before Ray is imported: it reads its authentication mode once, and its workers inherit the rest.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
os.environ.update(compiler_environment())
os.environ.setdefault("DS_ACCELERATOR", "cpu")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_metrics_report_interval_ms", "1000")


@pytest.fixture(scope="session")
def local_ray():
    """A Ray cluster of two CPUs for the whole session, with token authentication on."""
    import ray

    context = ray.init(
        "local", num_cpus=2, object_store_memory=300_000_000, include_dashboard=False, log_to_driver=False
    )
    yield context.address_info["address"]
    ray.shutdown()
