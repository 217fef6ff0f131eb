"""A model that has learned nothing reproduces no claim: what it shares with a good one is no evidence."""

import numpy as np
import pytest
from record_fixtures import record_of

from semflow.claims import verdicts
from semflow.claims.collect import Run
from semflow.claims.document import load
from semflow.evaluation.records import Arrays

STEPS = (1, 2, 5, 10, 25, 50, 100, 200)
N_IMAGES = 128
SAMPLERS = {"semflow": ("euler",), "dsm": ("ddim", "ddpm"), "dsm_modified": ("ddim", "ddpm")}
NOISE = {  # pictures of white noise: as far from the layout's picture as any, alike in nothing, clipped
    "mmd2_efficientnet_lite0": 0.74, "frechet_efficientnet_lite0": 300.0, "perceptual_efficientnet_lite0": 8.0,
    "diversity_efficientnet_lite0": 8.0, "round_trip_miou": 12.0, "brightness": 127.0, "clipped": 0.5, "detail": 70.0,
    "detail_gap": 60.0, "path_length_excess": 0.0, "straightness": 0.0, "label_recovery": 100.0,
}  # fmt: skip
REAL = NOISE | {"mmd2_efficientnet_lite0": 0.0, "perceptual_efficientnet_lite0": 6.8, "detail": 20.0, "detail_gap": 9.0}
CARD = NOISE | {"mmd2_efficientnet_lite0": 0.6, "perceptual_efficientnet_lite0": 8.4, "detail": 0.0, "detail_gap": 20.0}


@pytest.fixture
def measured():
    """measured(method, task, sampler, steps, metrics by name, training seed=0) -> Run, with chance about each."""

    def make(method, task, sampler, steps, values, seed=0, **fields):
        rng = np.random.default_rng([seed, steps, len(method), len(sampler)])
        found = {name: value + rng.normal(0, 0.01 * abs(value)) for name, value in values.items()}
        draws = {name: value + rng.normal(0, 0.01 * abs(value), 400) for name, value in found.items()}
        own = {"amplitude": 6 if method == "semflow" else 0, "evaluations": steps, "n_images": N_IMAGES, "training_seed": seed}
        record = record_of(task, found, draws, method=method, sampler=sampler, steps=steps, **own | fields)
        pictures = np.zeros((2, 3, 4, 6), np.uint8)
        return Run(record, Arrays(np.arange(N_IMAGES), draws, pictures, pictures[:, 0], pictures))

    return make


@pytest.fixture
def hopeless(measured):
    """Records of all that claims ask of SemFlow and DSM, of three trainings that came to nothing."""
    chance, control = {"miou": 12.0, "path_length_excess": 0.0}, {"n_parameters": None, "amplitude": 0}
    runs = [
        measured(method, "segmentation", sampler, steps, chance, seed)
        for method, samplers in SAMPLERS.items()
        for sampler in samplers
        for steps in STEPS
        for seed in range(3)
    ]
    runs += [measured("semflow", "segmentation", "rk45", 0, chance, seed) for seed in range(3)]
    runs += [
        measured("semflow", "synthesis", "euler", steps, NOISE, seed, amplitude=b, sampling_amplitude=drawn * b)
        for steps, b, drawn in [*((n, 6, 1) for n in STEPS), (25, 6, 0), (25, 6, 0.5), (25, 6, 1.5), (25, 6, 2), (25, 0, 1)]
        for seed in range(3)
    ]
    runs += [measured("semflow", "synthesis", "rk45", 0, NOISE, seed, sampling_amplitude=6) for seed in range(3)]
    runs += [
        measured(method, "seed_agreement", sampler, 25, {"seed_agreement": 100.0 if method == "semflow" else 30.0})
        for method, samplers in SAMPLERS.items()
        for sampler in samplers
    ]
    runs += [measured("shuffled_labels", "segmentation", "direct", 0, {"miou": 12.0}, **control)]
    runs += [measured("oracle", "segmentation", "direct", 0, {"miou": 100.0}, **control)]
    runs += [measured("real_images", "synthesis", "direct", 0, REAL, **control, sampling_amplitude=0)]
    runs += [measured("grey_card", "synthesis", "direct", 0, CARD, **control, sampling_amplitude=0)]
    return runs


def test_models_that_learned_nothing_reproduce_no_claim(hopeless):
    judged = [claim for claim in verdicts.judge(hopeless, load())["claims"] if claim["kind"] != "table_entry"]
    assert [claim["id"] for claim in judged if claim["verdict"] == "reproduced"] == []
    gated = [claim["id"] for claim in judged if claim["verdict"] == "not comparable" and claim["min_scale"] == "proxy"]
    assert len(gated) > 20  # they were measured, and it is the sanity checks that hold them back


def test_every_claim_that_a_proxy_may_reproduce_waits_for_a_sanity_check():
    free = [claim for claim in load().claims if not (claim.by_construction or claim.untested or claim.min_scale == "paper")]
    assert [claim.id for claim in free if claim.sanity_check is None] == []
