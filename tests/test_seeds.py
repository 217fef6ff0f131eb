"""Seeds by name."""

import torch

from semflow.seeds import generator, seed_of


def test_a_name_has_the_same_seed_for_good():
    # The first 63 bits of SHA-256("train/0/1"), by coreutils' sha256sum.
    assert seed_of("train", 0, 1) == 0xCC1D2165D0FD942A >> 1


def test_names_differ_in_every_part():
    seeds = {
        seed_of("train", 0, 1),
        seed_of("train", 1, 0),
        seed_of("train", 0, 11),
        seed_of("sample", 0, 1),
        seed_of("train", 0),
    }
    assert len(seeds) == 5


def test_a_generator_draws_the_same_from_the_same_name():
    first, again, other = (torch.rand(4, generator=generator("cpu", "sample", seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
