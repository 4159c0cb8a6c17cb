import pytest

from web2code.estimate.devices import DEVICES, parse_cluster, peak_flops


@pytest.mark.parametrize(("text", "num_devices", "name"), [
    ("8xH100", 8, "H100"), ("1 x a10g", 1, "A10G"), ("2x8xA100-40", 16, "A100-40"), ("64xRTX4090", 64, "RTX4090"),
])  # fmt: skip
def test_a_cluster_is_a_number_and_a_kind(text, num_devices, name):
    cluster = parse_cluster(text)
    assert (cluster.num_devices, cluster.device) == (num_devices, DEVICES[name])
    assert parse_cluster(cluster.name) == cluster


def test_a_price_replaces_the_tables():
    assert parse_cluster("8xH100", price=1.25).device.price == 1.25
    assert parse_cluster("8xH100", price=1.25).device.memory == DEVICES["H100"].memory


@pytest.mark.parametrize(("text", "sentence"), [
    ("H100", "write the number of GPUs and their kind, for example 8xH100"), ("", "write the number"),
    ("8xV100", "unknown GPU 'V100': choose one of A100-40"), ("0xH100", "between 1 and 4096 GPUs"),
    ("99999xH100", "between 1 and 4096 GPUs"),
])  # fmt: skip
def test_a_cluster_that_is_none_is_refused(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse_cluster(text)


@pytest.mark.parametrize(
    ("name", "device"),
    [
        ("NVIDIA H200", "H200"),
        ("NVIDIA A100-SXM4-80GB", "A100-80"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA GeForce RTX 4090", "RTX4090"),
        ("NVIDIA A10G", "A10G"),
    ],
)
def test_a_gpu_is_known_by_the_name_that_torch_has_for_it(name, device):
    assert peak_flops(name) == DEVICES[device].teraflops * 1e12


def test_a_gpu_that_is_not_in_the_table_has_no_peak():
    assert peak_flops("NVIDIA T4") is None
