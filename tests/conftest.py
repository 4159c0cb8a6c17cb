import gc
import os
import secrets
import signal

import pytest

# A shell that runs the suite in the background has it ignore these, and so would every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
# Before Ray is imported: it reads its authentication mode once, and its workers inherit the rest.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
os.environ.setdefault("DS_ACCELERATOR", "cpu")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_metrics_report_interval_ms", "1000")

# Of a machine of Ray's: nobody follows its logs, which takes a twentieth of a core for as long as it is there.
UNHEARD = {"include_log_monitor": False}


def pytest_collection_finish():
    """Imported modules are not garbage, and need not be looked through again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def local_machine():
    """The address of a Ray cluster of two CPUs for the whole session, with token authentication on."""
    from ray.cluster_utils import Cluster

    machine = {"num_cpus": 2, "object_store_memory": 300_000_000, "include_dashboard": False, **UNHEARD}
    cluster = Cluster(initialize_head=True, head_node_args=machine)
    yield cluster.address
    cluster.shutdown()


@pytest.fixture(scope="module")
def local_ray(local_machine):
    """The same, with this process as its driver: a new one for each module, as every job is one.

    What an actor takes that is killed while it starts Ray may keep for its driver for good.
    """
    import ray

    ray.init(local_machine, log_to_driver=False)
    yield local_machine
    ray.shutdown()
