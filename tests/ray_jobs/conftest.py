import pytest
from ray.cluster_utils import Cluster

from tests.conftest import UNHEARD

MACHINE = {"num_cpus": 1, **UNHEARD}


@pytest.fixture
def one_machine():
    """A machine with a CPU, as Ray sees it, to which others can be added."""
    cluster = Cluster(initialize_head=True, head_node_args=MACHINE | {"include_dashboard": False})
    yield cluster
    cluster.shutdown()


@pytest.fixture
def cluster(one_machine):
    """Two of them."""
    one_machine.add_node(**MACHINE)
    return one_machine
