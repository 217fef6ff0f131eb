"""Named seeds: every random number of a run is a function of a name, so that any step can be replayed."""

import hashlib

import torch


def seed_of(*names: object) -> int:
    """A 63-bit seed from the words that say what it is for, e.g. ("train", seed, step, rank)."""
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(device: torch.device | str, *names: object) -> torch.Generator:
    """A generator on `device` seeded by name."""
    return torch.Generator(device).manual_seed(seed_of(*names))
