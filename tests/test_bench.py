"""The benches run and say what they compare; how fast the machine is today is not a test's business."""

import re

import pytest

from semflow import bench


@pytest.mark.slow
def test_both_benches_print_their_ratio(tiny_suite):
    for text, words in (
        (bench.train(tiny_suite, "dsm", 1), "the loop reaches"),
        (bench.sample(tiny_suite, "semflow", 1), "the sampler reaches"),
    ):
        assert float(re.search(rf"{words} (\d+\.\d+) of it", text)[1]) > 0
    assert "GFLOP/s" in bench.train(tiny_suite, "semflow", 1)
