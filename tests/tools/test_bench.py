"""The benches run and say what they compare; how fast the machine is today is not a test's business."""

import re
import weakref

import pytest
import torch

from semflow.data import open_dataset
from semflow.suite import reading as config
from semflow.tools import bench
from semflow.tools.bench.plain import PlainLoop
from semflow.training.budget import training_flops
from semflow.training.loop import Trainer, make_accelerator, training_batches


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(bench, "STEPS", 2)
    monkeypatch.setattr(bench, "ENOUGH", 2)
    monkeypatch.setattr(bench, "MATMUL", {"cpu": 128})


def ratio(text: str, words: str) -> float:
    return float(re.search(words.replace("#", r"(\d+\.\d+)"), text)[1])


@pytest.mark.slow
def test_every_bench_prints_its_ratios(tiny_suite):
    trained = bench.train(tiny_suite, "semflow", 1)
    assert ratio(trained.text, "the loop reaches # of it") > 0
    assert ratio(trained.text, "ours is # times as fast") == pytest.approx(trained.numbers["times_plain"], abs=0.01)
    assert "GFLOP/s" in trained.text
    assert trained.numbers["images_per_s"] > 0
    assert "plain loop" not in bench.train(tiny_suite, "dsm", 1).text
    assert ratio(bench.sample(tiny_suite, "semflow", 1).text, "the sampler reaches # of it") > 0
    loaded = bench.load(tiny_suite, "semflow", 1)
    assert ratio(loaded.text, "the loaders give # of it") == pytest.approx(
        loaded.numbers["loaded_per_s"] / loaded.numbers["eaten_per_s"], abs=0.01
    )


@pytest.mark.slow
def test_the_size_of_the_paper_is_measured_without_its_files(sd_suite, tmp_path):
    """On a tiny network of its make."""
    suite = bench.synthetic(sd_suite)
    assert (suite.data.name, suite.network.pretrained, suite.autoencoder.pretrained) == ("scenes", None, None)
    assert bench.train(suite, "semflow", 1).numbers["times_plain"] > 0


def test_bare_steps_are_of_what_the_networks_are_called_with_in_a_real_step(tiny_suite, tmp_path):
    """DSM's network sees noise beside the image, at timesteps up to 1000: nobody says so to the bench."""
    trainer = Trainer(make_accelerator(tiny_suite), tiny_suite, "dsm", 0, tmp_path)
    batch = next(training_batches(open_dataset(tiny_suite.data, "train"), trainer, tmp_path))
    seen, before = [], [weight.clone() for weight in trainer.networks.parameters()]
    hook = trainer.networks["unet"].register_forward_pre_hook(lambda _, args: seen.append(args))
    bench._bare_steps(trainer, batch)()
    hook.remove()
    first, *again = seen
    assert len(again) == bench.STEPS
    assert first[0].shape == (16, 6, 16, 16)
    assert first[1].max() > 1
    assert all(torch.equal(a, b) for args in again for a, b in zip(first, args, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.networks.parameters(), strict=True))


def test_bare_steps_of_two_phases_go_back_through_what_a_phase_does_not_move(tiny, tmp_path):
    """A generator's step takes the gradient through the discriminator, and looks at real pictures without one."""
    recipe = {"lr": 1.0e-3}
    tiny["methods"] = tiny["methods"] | {"pix2pixhd": {
        "width": 4, "downs": 1, "residuals": 1, "discriminator_width": 4, "discriminator_layers": 1, "scales": 1,
        "feature_matching": 10, "perceptual": 0, "generator": recipe, "discriminator": recipe,
    }}  # fmt: skip
    suite = config.check(tiny, "tiny")
    trainer = Trainer(make_accelerator(suite), suite, "pix2pixhd", 0, tmp_path)
    batch = next(training_batches(open_dataset(suite.data, "train"), trainer, tmp_path))
    side, seen = bench._bare_steps(trainer, batch), []

    def note(_, args):
        seen.append((torch.is_grad_enabled(), args[0].requires_grad))

    hook = trainer.networks["discriminator"].register_forward_pre_hook(note)
    side()
    hook.remove()
    generators, discriminators = [(True, True), (False, False)], [(True, False)] * 2  # fake and real, in each phase
    assert seen == (generators + discriminators) * bench.STEPS


@pytest.mark.slow
def test_speed_is_images_times_the_flops_of_one(tiny_suite):
    measured = bench.train(tiny_suite, "dsm", 1).numbers
    assert measured["flops_per_s"] == pytest.approx(measured["images_per_s"] * training_flops(tiny_suite, "dsm"))


def test_the_plain_loop_takes_as_many_images_at_once_as_fit(tiny_suite, monkeypatch):
    tried = []

    def step(script: PlainLoop) -> float:
        tried.append(script.micro_batch)
        if script.micro_batch > 3:
            raise torch.OutOfMemoryError
        return 0.0

    monkeypatch.setattr(PlainLoop, "step", step)
    batch = tiny_suite.training.batch_size
    assert batch == 16
    found = bench._plain_loop(tiny_suite, open_dataset(tiny_suite.data, "train"), torch.device("cpu"), False, batch)
    assert found.micro_batch == 2
    assert tried == [16, 8, 4, 2]


def test_a_plain_loop_of_one_image_that_does_not_fit_is_an_error(tiny_suite, monkeypatch):
    def step(script: PlainLoop) -> float:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(PlainLoop, "step", step)
    with pytest.raises(torch.OutOfMemoryError):
        bench._plain_loop(tiny_suite, open_dataset(tiny_suite.data, "train"), torch.device("cpu"), False, 2)


def test_on_an_accelerator_a_side_is_gone_before_the_next_is_made(monkeypatch):
    for name in ("synchronize", "empty_cache"):
        monkeypatch.setattr(torch.accelerator, name, lambda: None)
    happened, made = [], []

    def maker(name):
        def make():
            happened.append(f"make {name}, {sum(one() is not None for one in made)} alive")

            def side():
                happened.append(name)

            made.append(weakref.ref(side))
            return side

        return make

    seconds = bench._measured({"a": maker("a"), "b": maker("b")}, 2, torch.device("mps"))
    assert happened == ["make a, 0 alive", "a", "a", "a", "make b, 0 alive", "b", "b", "b"]
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}
