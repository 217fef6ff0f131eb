"""pix2pixHD against its published counts, losses worked out by hand, and what its pictures may depend on."""

import pytest
import torch
from fields import field_of
from pydantic import ValidationError
from safetensors.torch import load_file
from sizes import papers, small

from baselines.pix2pixhd import CARD, Pix2PixHDSettings
from baselines.pix2pixhd.model import Pix2PixHD
from baselines.pix2pixhd.released import place
from semflow.data import open_dataset
from semflow.data.scenes import NAMES, Scenes
from semflow.errors import SemFlowError
from semflow.loading.batches import Batch, Batches
from semflow.method.contract import Blueprint
from semflow.method.samplers import DIRECT, Sampler
from semflow.suite import reading as config
from semflow.training import budget
from semflow.training.checkpoints import STATE, open_checkpoint
from semflow.training.loop import Trainer, make_accelerator, train, training_batches

SMALL, PAPER = small("pix2pixhd"), papers("pix2pixhd")
TINY = SMALL | {"width": 4, "residuals": 1, "discriminator_width": 4, "batch_size": 2}


def built(settings=TINY, n_classes: int = len(NAMES), size=(16, 16), **changes) -> Pix2PixHD:
    torch.manual_seed(0)
    checked = Pix2PixHDSettings.model_validate(settings | changes)
    return Pix2PixHD.build(Blueprint(n_classes, size, 0.0, None, None, None), checked)


def shape_of(settings, n_classes: int, size=(512, 512)) -> Pix2PixHD:
    with torch.device("meta"):
        return built(settings, n_classes, size)


def count(network) -> int:
    return sum(weight.numel() for weight in network.parameters())


def scenes(n: int = 4, seed: int = 0) -> Batch:
    return Batch(*Batches(Scenes(n, (16, 16), seed, "train", 2))[range(n)])


@pytest.fixture
def suite(tiny):
    tiny["training"] |= {"steps": 3, "batch_size": 4, "warmup_steps": 0}
    tiny["run"] |= {"checkpoint_every": 2}
    tiny["methods"] |= {"pix2pixhd": TINY}
    return config.check(tiny, "tiny")


@pytest.mark.parametrize(("n_classes", "parameters"), [(36, 182_546_755), (19, 182_493_443)])
def test_the_published_generator_has_its_parameters(n_classes, parameters):
    assert count(shape_of(PAPER, n_classes).networks["generator"]) == parameters


def test_the_small_networks_have_the_parameters_that_their_budget_names():
    model = shape_of(SMALL, 16, (32, 32))
    assert count(model.networks["generator"]) == pytest.approx(1.12e6, rel=0.01)
    assert count(model.networks["discriminator"]) == pytest.approx(0.19e6, rel=0.03)


@pytest.mark.parametrize(("settings", "field"), [(PAPER, 70), (SMALL, 34)])
def test_a_score_at_full_size_sees_a_patch(settings, field):
    model = built(settings | {"width": 1, "downs": 1, "perceptual": 0, "vgg19": None, "discriminator_width": 2}, 1, (160, 160))
    assert field_of(model.networks["discriminator"].scales[0], 4) == field


def test_pictures_come_out_as_large_as_their_layouts_and_in_range():
    pictures = built(size=(16, 24)).synthesize(torch.zeros(2, 16, 24, dtype=torch.uint8), DIRECT, None)
    assert pictures.shape == (2, 3, 16, 24)
    assert pictures.abs().max() <= 1


def test_ignored_pixels_of_a_layout_are_of_no_class():
    mask = torch.full((1, 16, 16), 255, dtype=torch.uint8)
    mask[0, 0, 0] = 3
    layout = built().look(Batch(torch.zeros(1, 3, 16, 16, dtype=torch.uint8), mask), None).layout
    assert layout.shape == (1, len(NAMES), 16, 16)
    assert layout.nonzero().tolist() == [[0, 3, 0, 0]]


class Fixed(torch.nn.Module):
    """A network that gives what it is told."""

    def __init__(self, *given) -> None:
        super().__init__()
        self.given, self.seen = list(given), []

    def forward(self, x):
        self.seen.append(x)
        return self.given.pop(0)


def features(*values: float) -> list[torch.Tensor]:
    return [torch.full((1, 1, 2, 2), float(value)) for value in values]


def test_the_generators_losses_worked_by_hand():
    # Two scales of a discriminator of one halving layer: two layers of features and the scores. Least squares: (.5 - 1)^2 +
    # (3 - 1)^2. Features: 10 x 4/2 x (|1 - 0| + |2 - 0| + |0 - 0| + |4 - 0|) / 2 scales.
    model = built(discriminator_layers=1)
    fake = [features(1, 2, 0.5), features(0, 4, 3)]
    real = [features(0, 0, 9), features(0, 0, 9)]
    model.networks["generator"], model.networks["discriminator"] = Fixed(torch.zeros(4, 3, 16, 16)), Fixed(fake, real)
    losses = model.losses("generator", model.look(scenes(), None), None, {})
    assert {name: loss.item() for name, loss in losses.items()} == {"adversarial": 4.25, "features": 70}


def test_an_undecided_discriminators_losses_are_a_quarter_of_each_scale_halved():
    model, carry = built(), {"fake": torch.zeros(4, 3, 16, 16)}
    undecided = [features(0, 0.5), features(0, 0.5)]
    model.networks["discriminator"] = Fixed(undecided, undecided)
    losses = model.losses("discriminator", model.look(scenes(), None), None, carry)
    assert {name: loss.item() for name, loss in losses.items()} == {"real": 0.25, "fake": 0.25}
    assert model.chance == {"discriminator_lead": {f"discriminator/{name}": loss.item() for name, loss in losses.items()}}


def test_the_discriminator_sees_layouts_beside_real_pictures_and_those_drawn_before_the_generators_step():
    model, batch, carry = built(), scenes(), {}
    x = model.look(batch, None)
    drawn = model.networks["generator"](x.layout).detach()
    model.losses("generator", x, None, carry)
    with torch.no_grad():
        for weight in model.networks["generator"].parameters():
            weight.add_(0.1)
    model.networks["discriminator"] = judge = Fixed([features(0, 0)], [features(0, 0)])
    model.losses("discriminator", x, None, carry)
    assert torch.equal(judge.seen[0], torch.cat([x.layout, x.real], 1))
    assert torch.equal(judge.seen[1], torch.cat([x.layout, drawn], 1))
    assert not judge.seen[1].requires_grad


def test_the_distance_by_vgg19_has_its_weight(tmp_path):
    model = built(perceptual=10, vgg19=str(tmp_path / "none.pth"))
    model.beside[0].forward = lambda fake, real: (fake - real).abs().mean() * 0 + 2
    assert model.losses("generator", model.look(scenes(), None), None, {})["perceptual"].item() == 20


def test_weights_of_vgg19_are_asked_for_in_training_alone(tmp_path):
    model = built(perceptual=10, vgg19=str(tmp_path / "none.pth"))
    model.synthesize(torch.zeros(1, 16, 16, dtype=torch.uint8), DIRECT, None)
    with pytest.raises(SemFlowError, match=r"no weights of VGG19 at .*none\.pth"):
        model.losses("generator", model.look(scenes(), None), None, {})


@pytest.mark.parametrize("wrong", [{"perceptual": 10}, {"vgg19": "vgg19.pth"}])
def test_a_term_by_vgg19_without_its_weights_is_refused_and_so_is_a_file_that_nothing_reads(wrong):
    with pytest.raises(ValidationError, match="name VGG19's file, or set perceptual to 0 and leave vgg19 out"):
        Pix2PixHDSettings.model_validate(SMALL | wrong)


@pytest.mark.parametrize("key", sorted(set(SMALL) - {"batch_size"}))
def test_no_number_hides_a_default(key):
    with pytest.raises(ValidationError, match=key):
        Pix2PixHDSettings.model_validate({name: value for name, value in SMALL.items() if name != key})


@pytest.mark.parametrize("size", [(16, 18), (4, 16)])
def test_pictures_that_do_not_come_back_at_their_size_are_refused(size):
    with pytest.raises(SemFlowError, match=r"methods.pix2pixhd.downs is 2, .* must be multiples of 4 and at least 8"):
        built(size=size)


def test_more_scales_than_the_pictures_have_pixels_for_are_refused():
    with pytest.raises(SemFlowError, match="which leaves one pixel of a side of 16 at the coarsest of 5 scales"):
        built(scales=5)


def test_pictures_do_not_depend_on_real_ones_that_were_shown():
    model, labels = built(), scenes().mask
    drawn = model.synthesize(labels, DIRECT, None)
    for seed in (1, 2):
        carry, x = {}, model.look(scenes(seed=seed), None)
        for phase in model.phases:
            model.losses(phase.name, x, None, carry)
    assert torch.equal(model.synthesize(labels, DIRECT, None), drawn)


def test_losses_are_means_over_rows(tmp_path):
    """As `rowwise` promises: the gradient of a batch is the mean of its rows'."""
    model, batch = built(), scenes()
    for phase in model.phases:
        weights = [weight for key in phase.moves for weight in model.networks[key].parameters()]

        def gradients(part, phase=phase, weights=weights):
            x, carry = model.look(part, None), {}
            for turn in model.phases[: 1 + model.phases.index(phase)]:
                total = sum(model.losses(turn.name, x, None, carry).values())
            return torch.autograd.grad(total, weights)

        rows = [gradients(batch.rows(n, n + 1)) for n in range(len(batch))]
        for whole, *parts in zip(gradients(batch), *rows, strict=True):
            torch.testing.assert_close(sum(parts) / len(parts), whole, rtol=1e-3, atol=1e-5)


def test_it_trains_and_its_checkpoint_draws_what_the_averaged_generator_draws(suite, tmp_path):
    train(suite, "pix2pixhd", 0, tmp_path / "state", tmp_path / "out")
    model, card = open_checkpoint(tmp_path / "out")
    averages = load_file(tmp_path / "state" / STATE)
    assert torch.equal(model.networks["generator"].layers[0].weight, averages["ema.generator.layers.0.weight"])
    assert (card.budget.images_seen, card.budget.optimizer_steps) == (12, 12)
    assert budget.sampling_flops(suite, "pix2pixhd", "synthesis", DIRECT) > 0


def test_it_resumes_to_the_bit(suite, tmp_path):
    train(suite, "pix2pixhd", 0, tmp_path / "whole", tmp_path / "out")
    accelerator = make_accelerator(suite)
    trainer = Trainer(accelerator, suite, "pix2pixhd", 0, tmp_path / "cut")
    for number, batch in enumerate(training_batches(open_dataset(suite.data, "train"), trainer), 1):
        trainer.advance(batch)
        if number == 3:
            break
    trainer.save()
    trainer.end()
    train(suite, "pix2pixhd", 0, tmp_path / "cut", tmp_path / "out")
    whole, cut = (load_file(tmp_path / name / STATE) for name in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    assert [name for name in whole if not torch.equal(whole[name], cut[name])] == []


def test_it_draws_pictures_by_one_pass_and_segments_nothing():
    CARD.check("synthesis", DIRECT)
    with pytest.raises(SemFlowError, match="pix2pixHD cannot do segmentation"):
        CARD.check("segmentation", DIRECT)
    with pytest.raises(SemFlowError, match="'euler'"):
        CARD.check("synthesis", Sampler("euler", 25))


def official(n_inputs: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the official global generator: every layer of it has a number, paddings, norms and rectifiers too."""
    convolutions = {1: (64, n_inputs, 7, 7), 4: (128, 64, 3, 3), 7: (256, 128, 3, 3), 10: (512, 256, 3, 3), 13: (1024, 512, 3, 3)}
    convolutions |= {25: (1024, 512, 3, 3), 28: (512, 256, 3, 3), 31: (256, 128, 3, 3), 34: (128, 64, 3, 3), 38: (3, 64, 7, 7)}
    weights = {f"model.{number}": shape for number, shape in convolutions.items()}
    weights |= {f"model.{block}.conv_block.{at}": (1024, 1024, 3, 3) for block in range(16, 25) for at in (1, 5)}
    transposed = [f"model.{number}" for number in (25, 28, 31, 34)]
    biases = {f"{name}.bias": (shape[1 if name in transposed else 0],) for name, shape in weights.items()}
    return {f"{name}.weight": shape for name, shape in weights.items()} | biases


def test_official_weights_map_one_to_one_onto_all_of_ours():
    networks = shape_of(PAPER, 36).networks
    placed = {place(name): shape for name, shape in official(36).items()}
    ours = {("generator", name): tuple(value.shape) for name, value in networks["generator"].stored.state_dict().items()}
    assert len(placed) == len(official(36))
    assert placed == ours


def test_statistics_that_norms_saved_are_left_out_and_other_names_are_refused():
    assert place("model.2.running_mean") is None
    assert place("model.20.conv_block.6.num_batches_tracked") is None
    for name in ("model1_1.1.weight", "model.41.weight", "module.model.1.weight"):
        with pytest.raises(SemFlowError, match=f"{name} is no weight of the official generator"):
            place(name)
