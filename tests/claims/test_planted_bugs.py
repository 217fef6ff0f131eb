"""Bugs planted on purpose: each must show as drift."""

from pathlib import Path

import pytest

from semflow.claims import drift
from semflow.claims.collect import read_runs
from semflow.claims.document import load
from semflow.evaluation import evaluate
from semflow.method import flow, solvers
from semflow.method.pseudo_mask import PseudoMask
from semflow.method.samplers import DIRECT, Sampler
from semflow.suite import reading as config
from semflow.suite.runs import Evaluation
from semflow.training.loop import train

EULER, SEEDS = Sampler("euler", 25), range(6)


class Smoke:
    """The smoke suite: `train` trains SemFlow under a seed, `measure` evaluates such models."""

    def __init__(self, folder: Path) -> None:
        self.suite, self.folder = config.load(Path(__file__).parents[2] / "config/smoke.yaml"), folder

    def train(self, seed: int, name: str = "") -> Path:
        folder = self.folder / f"{name}{seed}"
        train(self.suite, "semflow", seed, folder / "state", folder / "checkpoint")
        return folder

    def measure(self, *trained: Path, drawn: bool = True) -> drift.Reference:
        """Label maps, and pictures if they are `drawn`; and label maps of the oracle."""
        b, paths = self.suite.pseudo_mask.amplitude, []
        for folder in trained:
            seed = int(folder.name[-1])
            evaluations = [Evaluation("semflow", "segmentation", EULER, b, training_seed=seed)]
            evaluations += [Evaluation("semflow", "synthesis", EULER, b, b, training_seed=seed)] * drawn
            paths += [self._evaluated(one, folder, folder / f"{one.task}.json") for one in evaluations]
        oracle = Evaluation("oracle", "segmentation", DIRECT)
        return drift.reference_of(read_runs([*paths, self._evaluated(oracle, trained[0], trained[0] / "oracle.json")]))

    def _evaluated(self, one: Evaluation, folder: Path, path: Path) -> Path:
        path.unlink(missing_ok=True)
        evaluate(self.suite, one, folder / "checkpoint", path, self.folder / "features")
        return path


@pytest.fixture(scope="module")
def smoke(tmp_path_factory) -> Smoke:
    return Smoke(tmp_path_factory.mktemp("smoke"))


@pytest.fixture(scope="module")
def trained(smoke) -> Path:
    return smoke.train(0)


@pytest.fixture(scope="module")
def reference(smoke, trained) -> drift.Reference:
    return smoke.measure(trained, drawn=False)


@pytest.fixture(scope="module")
def trainings(smoke, trained) -> drift.Reference:
    """A reference of several trainings."""
    return smoke.measure(trained, *(smoke.train(seed) for seed in SEEDS[1:]))


# In evaluation: the weights are the same.


@pytest.mark.slow
def test_nothing_planted_is_the_same_to_the_bit(smoke, trained, reference):
    found = drift.check(smoke.measure(trained, drawn=False), reference, load())
    assert found.status == 0
    assert found.exact == sum(len(kept.metrics) for kept in reference.evaluations.values())


@pytest.mark.slow
def test_two_class_ids_swapped(smoke, trained, reference, monkeypatch):
    decode = PseudoMask.decode

    def swapped(self, pseudo_mask):
        labels = decode(self, pseudo_mask)
        return labels.where(~((labels == 0) | (labels == 2)), 2 - labels)

    monkeypatch.setattr(PseudoMask, "decode", swapped)
    found = drift.check(smoke.measure(trained, drawn=False), reference, load())
    assert found.status == 1
    oracle = ": oracle segmentation: mIoU of the same weights was 100, is "
    assert any(oracle in line for line in found.drifted)


@pytest.mark.slow
def test_one_step_fewer(smoke, trained, reference, monkeypatch):
    """A grid of 24 steps where 25 were asked for."""
    grid = solvers.time_grid
    monkeypatch.setattr(solvers, "time_grid", lambda n, reverse=False: grid(n - 1, reverse))
    found = drift.check(smoke.measure(trained, drawn=False), reference, load())
    assert found.status == 1
    counted = ": SemFlow Euler-25 segmentation: evaluations of the network were 25, are 24, and must be the same"
    assert any(line.endswith(counted) for line in found.drifted)


# In training: the first losses on the same machine, or another training among those of the reference.


@pytest.mark.slow
def test_a_training_that_is_repeated_has_the_same_first_losses_and_weights(smoke, reference):
    found = drift.check(smoke.measure(smoke.train(0, "again"), drawn=False), reference, load())
    assert (found.status, found.trainings, found.watched) == (0, 1, [])


@pytest.mark.slow
def test_perturbation_left_out_at_training(smoke, reference, monkeypatch):
    """Too little to see in the mIoU of so small a model."""
    with monkeypatch.context() as planted:
        planted.setattr(PseudoMask, "perturb", lambda self, pseudo_mask, amplitude, source: pseudo_mask)
        now = smoke.train(0, "unperturbed")
    found = drift.check(smoke.measure(now, drawn=False), reference, load())
    assert found.status == 1
    (line,) = found.drifted
    assert line.startswith("training SemFlow, b = 14.4, seed 0: its losses differ from step 0 on")


@pytest.mark.slow
def test_ends_of_the_path_swapped_at_training_under_a_seed_that_the_reference_does_not_have(smoke, trainings, monkeypatch):
    """The flow goes from masks to images, and is asked for the other way."""
    with monkeypatch.context() as planted:
        loss = flow.loss
        planted.setattr(flow, "loss", lambda velocity, z0, z1, t: loss(velocity, z1, z0, t))
        now = smoke.train(len(SEEDS), "swapped")
    found = drift.check(smoke.measure(now), trainings, load())
    assert (found.status, found.trainings) == (1, 0)
    assert any("round-trip mIoU" in line for line in found.drifted)


@pytest.mark.slow
def test_another_training_seed_is_not_taken_for_a_bug(smoke, trainings):
    found = drift.check(smoke.measure(smoke.train(len(SEEDS))), trainings, load())
    assert (found.status, found.trainings) == (0, 0)
    assert len(found.watched) == 5
