import pytest

from web2code.config import StageConfig
from web2code.estimate.devices import (
    DEVICES,
    UNCHECKED,
    Gpu,
    find_gpu,
    parse_cluster,
    peak_flops,
    read_gpus,
    require_precision,
)

STAGE = StageConfig(
    name="instruct", trainable=("projector",), zero_stage=2, template="v1", steps=1, global_batch=1, learning_rate=1
)


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
    ("8xP100", "unknown GPU 'P100': choose one of A100-40"), ("0xH100", "between 1 and 4096 GPUs"),
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


@pytest.mark.parametrize("name", ["NVIDIA P4", "Tesla T4", "Tesla V100-SXM2-16GB"])
def test_a_gpu_that_is_not_in_the_table_or_has_no_bfloat16_has_no_peak(name):
    assert peak_flops(name) is None


@pytest.mark.parametrize(("capability", "has"), [((7, 0), False), ((7, 5), False), ((8, 0), True), ((8, 9), True),
                                                 ((9, 0), True), ((10, 0), True), ((12, 0), True)])  # fmt: skip
def test_bfloat16_begins_with_ampere(capability, has):
    if has:
        require_precision(STAGE, "a GPU", capability)
    else:
        with pytest.raises(ValueError, match=r"instruct.precision: a GPU \(compute .*\) has no bfloat16, .* with 8\.0"):
            require_precision(STAGE, "a GPU", capability)
    require_precision(STAGE.model_copy(update={"precision": "fp32"}), "a GPU", capability)


def test_what_the_driver_prints_is_read():
    printed = "NVIDIA H100 80GB HBM3, 81559, 9.0\nTesla T4, 15360, 7.5\nNVIDIA GB10, [N/A], 12.1\n"
    assert read_gpus(printed) == [
        Gpu(name="NVIDIA H100 80GB HBM3", memory=81559 / 1024, capability=(9, 0)),
        Gpu(name="Tesla T4", memory=15, capability=(7, 5)),
    ]
    assert read_gpus("No devices were found\n") == []


def test_the_gpus_are_those_that_are_named_or_else_this_machines(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_gpu("") is None
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 'Tesla T4, 15360, 7.5'\necho 'NVIDIA L4, 23034, 8.9'\n")
    driver.chmod(0o755)
    assert find_gpu("").name == "NVIDIA L4"
    assert find_gpu("a100-40") == DEVICES["A100-40"]
    assert find_gpu(UNCHECKED) is None
    driver.write_text("#!/bin/sh\nexit 9\n")
    assert find_gpu("") is None
    with pytest.raises(ValueError, match="unknown GPU 'nothing'"):
        find_gpu("nothing")
