from dataclasses import replace

import pytest

from benchmarks.roofline import count_work, exact_flops, least_time
from benchmarks.speed_systems import BENZENE_SIZE, POLYETHYLENE_SIZE, NetworkSize

RATES = {"sgemm_gf_s": 100.0, "sgemm_packed_gf_s": 200.0, "l2_copy_gb_s": 50.0, "activation_ns": 1.0}


@pytest.mark.parametrize(
    ("size", "beads", "expected"), [(BENZENE_SIZE, 500, 0.361e9), (POLYETHYLENE_SIZE, 1000, 0.426e9)]
)
def test_products_of_the_folded_network_are_those_counted_by_hand(size, beads, expected):
    assert count_work(size, beads, 0).product_flops == pytest.approx(expected, rel=2e-3)


def test_one_block_needs_its_readout_alone_for_products():
    size = NetworkSize(features=8, filters=16, blocks=1, gaussians=10, cutoff=1.0)
    work = count_work(size, 3, 5)
    assert work.product_flops == 2 * 2 * 3 * 8 * 4
    assert work.pair_bytes == 5 * 8 * (32 + 24)
    assert work.activations == 3 * (8 + 4)


def test_the_network_as_trained_costs_many_times_more():
    assert exact_flops(BENZENE_SIZE, 500, 3382) == pytest.approx(5.4e9, rel=0.02)
    assert exact_flops(BENZENE_SIZE, 500, 3382) > 10 * count_work(BENZENE_SIZE, 500, 3382).product_flops


def test_the_least_time_takes_the_faster_product_and_adds_all_parts():
    work = replace(count_work(BENZENE_SIZE, 1, 0), product_flops=2e11, pair_bytes=5e10, activations=1e9)
    assert least_time(work, RATES) == pytest.approx(1.0 + 1.0 + 1.0)
