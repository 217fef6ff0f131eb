"""How many pixels agree between seeds."""

from itertools import count

import pytest
import torch

from baselines.dsm.model import DSM
from semflow.evaluation import evaluate
from semflow.evaluation.records import Arrays
from semflow.method.samplers import Sampler
from semflow.suite.runs import Evaluation


def test_semflow_agrees_with_itself_and_an_untrained_dsm_does_not(tiny_suite, weights_of, tmp_path):
    semflow = Evaluation("semflow", "seed_agreement", Sampler("euler", 2), 6.0)
    metric = evaluate(tiny_suite, semflow, weights_of("semflow"), tmp_path / "r.json", tmp_path).metrics["seed_agreement"]
    assert (metric.value, metric.low, metric.high) == (100, 100, 100)
    dsm = Evaluation("dsm", "seed_agreement", Sampler("ddpm", 2))
    assert evaluate(tiny_suite, dsm, weights_of("dsm"), tmp_path / "r.json", tmp_path).metrics["seed_agreement"].value < 90


def test_agreement_is_the_share_of_pairs_of_seeds_that_agree(tiny_suite, weights_of, tmp_path, monkeypatch):
    call = count()

    def half_of_the_seeds_say_1(self, images, sampler, generator):
        return torch.full(images[:, 0].shape, next(call) % 2, dtype=torch.uint8)

    monkeypatch.setattr(DSM, "segment", half_of_the_seeds_say_1)
    record = evaluate(
        tiny_suite, Evaluation("dsm", "seed_agreement", Sampler("ddpm", 2)), weights_of("dsm"), tmp_path / "r.json", tmp_path
    )
    # 10 seeds, 5 on each side: of 45 pairs 2 x 10 agree.
    assert record.metrics["seed_agreement"].value == pytest.approx(100 * 20 / 45)
    assert "10 sampling seeds" in record.protocol.mean_over["seed_agreement"]
    assert len(Arrays.load(tmp_path / "r.npz").values["seed_agreement"]) == record.n_images == 4
