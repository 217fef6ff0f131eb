"""CycleGAN against its published counts, losses worked out by hand, and a proof that no step sees an image and its own mask."""

import pytest
import torch
from fields import field_of
from pydantic import ValidationError
from safetensors.torch import load_file
from sizes import papers, small

from baselines.cyclegan import CARD, CycleGANSettings
from baselines.cyclegan.delay import Delay
from baselines.cyclegan.model import CycleGAN
from baselines.cyclegan.released import place
from semflow.data import open_dataset
from semflow.data.scenes import NAMES, Scenes
from semflow.errors import SemFlowError
from semflow.loading.batches import Batch, Batches
from semflow.loading.pixels import to_unit_range
from semflow.method.contract import Blueprint
from semflow.method.pseudo_mask import PseudoMask
from semflow.method.samplers import DIRECT
from semflow.suite import reading as config
from semflow.training import budget
from semflow.training.checkpoints import STATE, open_checkpoint
from semflow.training.loop import Trainer, make_accelerator, train, training_batches

SMALL, PAPER = small("cyclegan"), papers("cyclegan")
TINY = SMALL | {"width": 4, "residuals": 1, "discriminator_width": 4, "batch_size": 2, "pool": 3}
CODE = PseudoMask(len(NAMES), 3, 120)


def built(settings=TINY, size=(16, 16), **changes) -> CycleGAN:
    torch.manual_seed(0)
    checked = CycleGANSettings.model_validate(settings | changes)
    return CycleGAN.build(Blueprint(len(NAMES), size, 0.0, CODE, None, None), checked)


def shape_of(settings, size=(512, 512)) -> CycleGAN:
    with torch.device("meta"):
        return built(settings, size)


def count(network) -> int:
    return sum(weight.numel() for weight in network.parameters())


def scenes(n: int = 2, first: int = 0) -> Batch:
    return Batch(*Batches(Scenes(100, (16, 16), 0, "train", 2))[range(first, first + n)])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def step(model: CycleGAN, batch: Batch, seed: int = 0) -> dict[str, float]:
    """The losses of all phases on a batch, without an optimizer's step."""
    x, carry, found = model.look(batch, None), {}, {}
    for phase in model.phases:
        found |= model.losses(phase.name, x, seeded(seed), carry)
    return {name: loss.item() for name, loss in found.items()}


class Fixed(torch.nn.Module):
    """A network that is any function of its pictures, and keeps them."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function, self.seen = function, []

    def forward(self, x):
        self.seen.append(x)
        return self.function(x)


def giving(score: float) -> Fixed:
    """A discriminator that gives every patch one score."""
    return Fixed(lambda x: [[torch.full((len(x), 1, 2, 2), score)]])


@pytest.fixture
def suite(tiny):
    tiny["training"] |= {"steps": 4, "batch_size": 4, "warmup_steps": 0}
    tiny["data"] |= {"n_train": 16}
    tiny["run"] |= {"checkpoint_every": 2}
    tiny["methods"] |= {"cyclegan": TINY}
    return config.check(tiny, "tiny")


def test_published_networks_have_their_parameters():
    networks = shape_of(PAPER).networks
    assert [count(networks[name]) for name in ("to_mask", "to_image")] == [11_378_179] * 2
    assert [count(networks[name]) for name in ("mask_discriminator", "image_discriminator")] == [2_764_737] * 2


def test_the_small_networks_have_the_parameters_that_their_budget_names():
    networks = shape_of(SMALL, (32, 32)).networks
    assert count(networks["to_mask"]) + count(networks["to_image"]) == pytest.approx(2 * 0.49e6, rel=0.01)
    both = count(networks["mask_discriminator"]) + count(networks["image_discriminator"])
    assert both == pytest.approx(0.19e6, rel=0.01)


@pytest.mark.parametrize(("settings", "field"), [(PAPER, 70), (SMALL, 34)])
@pytest.mark.parametrize("kind", ["mask", "image"])
def test_a_score_sees_a_patch(settings, field, kind):
    model = built(settings | {"width": 1, "discriminator_width": 2, "pool": 0}, (160, 160))
    assert field_of(model.networks[f"{kind}_discriminator"].scales[0], 3) == field


def test_identity_generators_have_no_cycle_and_no_identity_losses():
    model = built(identity=0.5)
    model.networks["to_mask"], model.networks["to_image"] = Fixed(lambda x: x), Fixed(lambda x: x)
    step(model, scenes())
    losses = step(model, scenes(first=2))
    assert {name: loss for name, loss in losses.items() if name.startswith(("cycle", "identity"))} == {
        "cycle_image": 0, "cycle_mask": 0, "identity_mask": 0, "identity_image": 0
    }  # fmt: skip
    assert losses["adversarial_mask"] > 0


def test_cycles_are_measured_by_how_far_they_end_from_where_they_began():
    model = built()
    model.networks["to_mask"], model.networks["to_image"] = Fixed(lambda x: x + 0.25), Fixed(lambda x: x)
    batch = scenes()
    told = model.diagnose(to_unit_range(batch.image), batch.mask, seeded())
    assert {name: values.tolist() for name, values in told.items()} == {
        "cycle_images": pytest.approx([0.25] * 2), "cycle_masks": pytest.approx([0.25] * 2)
    }  # fmt: skip


def test_chance_is_what_discriminators_lose_that_give_a_half():
    model = built()
    for kind in ("mask", "image"):
        model.networks[f"{kind}_discriminator"] = giving(0.5)
    step(model, scenes())
    losses = step(model, scenes(first=2))
    chances = {name: value for of in model.chance.values() for name, value in of.items()}
    assert {f"discriminators/{name}": losses[name] for name in losses if name.startswith(("real", "fake"))} == chances


def test_losses_of_generators_that_add_and_halve_worked_by_hand():
    # to_mask adds .5 and to_image halves: an image i comes back as (i + .5) / 2, a mask m as m / 2 + .5.
    model, first, second = built(identity=0.5), scenes(), scenes(first=2)
    model.networks["to_mask"], model.networks["to_image"] = Fixed(lambda x: x + 0.5), Fixed(lambda x: x / 2)
    model.networks["mask_discriminator"], model.networks["image_discriminator"] = giving(0.5), giving(3.0)
    step(model, first)
    i, m = to_unit_range(second.image).double(), CODE.encode(first.mask).double()
    assert step(model, second) == pytest.approx({
        "adversarial_mask": 0.25, "adversarial_image": 4,  # (.5 - 1)^2, (3 - 1)^2
        "cycle_image": 10 * (0.25 - i / 2).abs().mean().item(), "cycle_mask": 10 * (0.5 - m / 2).abs().mean().item(),
        "identity_mask": 5 * 0.5, "identity_image": 5 * (i / 2).abs().mean().item(),
        "real_mask": 0.125, "fake_mask": 0.125, "real_image": 2, "fake_image": 4.5,  # half of .25, .25, 4 and 9
    }, rel=1e-5)  # fmt: skip


def test_without_identity_losses_nothing_is_worked_out_for_them():
    model = built(identity=0)
    model.networks["to_mask"] = to_mask = Fixed(lambda x: x)
    assert not [name for name in step(model, scenes()) if name.startswith("identity")]
    assert len(to_mask.seen) == 2  # images, and images drawn from masks


def told_apart(number: int) -> Batch:
    """A scene whose image and mask say its number."""
    return Batch(torch.full((1, 3, 16, 16), number, dtype=torch.uint8), torch.full((1, 16, 16), number, dtype=torch.uint8))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_no_step_is_shown_an_image_and_the_mask_of_its_scene(batch_size):
    model, shown = built(batch_size=batch_size), []
    for first in range(0, len(NAMES), batch_size):
        batch = Batch(*map(torch.cat, zip(*(told_apart(number) for number in range(first, first + batch_size)), strict=True)))
        x = model.look(batch, None)
        if x.apart:
            images = ((x.images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()
            masks = CODE.decode(x.masks)[:, 0, 0].tolist()
            assert not set(images) & set(masks)
            shown += masks
    assert shown == [*range(len(NAMES) - batch_size)]  # and none is lost


def test_the_masks_of_a_batch_move_no_loss_of_its_step():
    model, batch = built(), scenes(first=2)
    step(model, scenes())
    before = {name: value.clone() for name, value in model.networks.state_dict().items()}
    losses = step(model, batch)
    model.networks.load_state_dict(before)
    assert step(model, batch._replace(mask=(batch.mask + 1) % len(NAMES))) == losses
    model.networks.load_state_dict(before)
    assert step(model, batch._replace(image=255 - batch.image)) != losses


def test_the_first_step_has_no_masks_of_other_scenes_and_teaches_nothing():
    losses = step(built(), scenes())
    assert set(losses.values()) == {0}
    assert set(step(built(), scenes(first=2))) == set(losses)


def test_over_an_epoch_of_training_no_scene_meets_itself(suite, tmp_path):
    trainer, seen, images = Trainer(make_accelerator(suite), suite, "cyclegan", 0, tmp_path), [], []
    look = trainer.model.look
    trainer.model.look = lambda *given: seen.append(look(*given)) or seen[-1]
    for batch in training_batches(open_dataset(suite.data, "train"), trainer):
        images.append(batch)
        trainer.advance(batch)
    assert [bool(x.apart) for x in seen] == [False] + [True] * 7
    for before, batch, x in zip(images, images[1:], seen[1:], strict=False):
        assert torch.equal(x.masks, CODE.encode(before.mask))
        assert torch.equal(x.images, to_unit_range(batch.image))
        assert not any(torch.equal(a, b) for a in batch.image for b in before.image)
    trainer.end()


def test_more_scenes_than_masks_are_kept_of_are_refused():
    with pytest.raises(SemFlowError, match="given 3 scenes, but keeps the masks of 2; train it by methods.cyclegan.batch_size"):
        built().look(scenes(3), None)


def test_masks_come_out_in_the_order_in_which_they_went_in_however_many_at_once():
    delay, given = Delay(3, 1, (1, 1)), []
    for first, last in ((0, 2), (2, 3), (3, 6), (6, 7), (7, 9)):
        masks, full = delay(torch.arange(first, last, dtype=torch.float32).view(-1, 1, 1, 1))
        given.append((masks.flatten().tolist(), bool(full)))
    assert given == [([0, 1], False), ([2], False), ([0, 1, 2], True), ([3], True), ([4, 5], True)]


def test_the_pools_and_the_masks_that_wait_survive_a_saved_state(suite, tmp_path):
    train(suite, "cyclegan", 0, tmp_path / "whole", tmp_path / "out")
    trainer = Trainer(make_accelerator(suite), suite, "cyclegan", 0, tmp_path / "cut")
    for number, batch in enumerate(training_batches(open_dataset(suite.data, "train"), trainer), 1):
        trainer.advance(batch)
        if number == 3:  # the pools are full, and have given past translations
            break
    trainer.save()
    trainer.end()
    state = load_file(tmp_path / "cut" / STATE)
    assert state["networks.image_pool.pictures"].abs().sum() > 0
    assert state["networks.delay.waiting"].abs().sum() > 0
    assert state["networks.delay.seen"] == 6
    train(suite, "cyclegan", 0, tmp_path / "cut", tmp_path / "out")
    whole, cut = (load_file(tmp_path / name / STATE) for name in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    assert [name for name in whole if not torch.equal(whole[name], cut[name])] == []


def test_discriminators_see_translations_of_before_the_generators_step_through_the_pool():
    model, carry = built(pool=2), {}
    step(model, scenes())  # fills both pools
    past = model.networks["mask_pool"].pictures.clone()
    x = model.look(scenes(first=2), None)
    made = model.networks["to_mask"](x.images).detach()
    model.losses("generators", x, None, carry)
    with torch.no_grad():
        for weight in model.networks["to_mask"].parameters():
            weight.add_(0.1)
    model.networks["mask_discriminator"] = judge = giving(0.0)
    model.losses("discriminators", x, seeded(), carry)
    real, fake = judge.seen
    assert torch.equal(real, x.masks)
    assert all(any(torch.equal(one, other) for other in (*past, *made)) for one in fake)


def test_what_it_draws_and_reads_depends_on_its_input_alone():
    model, batch = built(), scenes()
    drawn, read = model.synthesize(batch.mask, DIRECT, None), model.segment(to_unit_range(batch.image), DIRECT, None)
    step(model, scenes(first=2))
    step(model, scenes(first=4))
    assert torch.equal(model.synthesize(batch.mask, DIRECT, None), drawn)
    assert torch.equal(model.segment(to_unit_range(batch.image), DIRECT, None), read)
    assert drawn.abs().max() <= 1


def test_a_mask_is_read_by_the_nearest_colour_and_ignored_pixels_are_white():
    model, labels = built(), scenes().mask
    model.networks["to_mask"] = Fixed(lambda x: x + 0.2)
    assert torch.equal(model.segment(CODE.encode(labels), DIRECT, None), labels)
    model.networks["to_image"] = Fixed(lambda x: x)
    white = model.synthesize(torch.full((1, 16, 16), 255, dtype=torch.uint8), DIRECT, None)
    assert white.unique().tolist() == [1]


def test_its_checkpoint_has_both_generators_and_nothing_else(suite, tmp_path):
    train(suite, "cyclegan", 0, tmp_path / "state", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"to_mask", "to_image", "semflow.json", "README.md"}
    model, card = open_checkpoint(tmp_path / "out")
    averages = load_file(tmp_path / "state" / STATE)
    for name in ("to_mask", "to_image"):
        assert torch.equal(model.networks[name].layers[0].weight, averages[f"ema.{name}.layers.0.weight"])
    assert (card.budget.images_seen, card.budget.optimizer_steps) == (16, 16)
    assert budget.sampling_flops(suite, "cyclegan", "segmentation", DIRECT) > 0


@pytest.mark.parametrize("key", sorted(SMALL))
def test_no_number_hides_a_default(key):
    with pytest.raises(ValidationError, match=key):
        CycleGANSettings.model_validate({name: value for name, value in SMALL.items() if name != key})


def test_published_settings_are_settings():
    CycleGANSettings.model_validate(PAPER)


def test_pictures_that_the_networks_cannot_take_are_refused():
    with pytest.raises(SemFlowError, match="methods.cyclegan.downs is 2, .* must be multiples of 4 and at least 8"):
        built(size=(18, 16))
    with pytest.raises(SemFlowError, match="methods.cyclegan.discriminator_layers is 3, which leaves one pixel of a side of 16;"):
        built(discriminator_layers=3)


def test_it_goes_both_ways_by_one_pass():
    for task in ("segmentation", "synthesis"):
        CARD.check(task, DIRECT)


def official() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the official generator: every layer of it has a number, paddings, norms and rectifiers too."""
    convolutions = {1: (64, 3, 7, 7), 4: (128, 64, 3, 3), 7: (256, 128, 3, 3)}
    convolutions |= {19: (256, 128, 3, 3), 22: (128, 64, 3, 3), 26: (3, 64, 7, 7)}
    weights = {f"model.{number}": shape for number, shape in convolutions.items()}
    weights |= {f"model.{block}.conv_block.{at}": (256, 256, 3, 3) for block in range(10, 19) for at in (1, 5)}
    biases = {f"{name}.bias": (shape[name in ("model.19", "model.22")],) for name, shape in weights.items()}
    return {f"{name}.weight": shape for name, shape in weights.items()} | biases


def test_official_weights_map_one_to_one_onto_all_of_ours():
    networks = shape_of(PAPER).networks
    placed = {place(f"{file}.{name}"): shape for file in ("G_A", "G_B") for name, shape in official().items()}
    ours = {
        (key, name): tuple(value.shape) for key in CycleGAN.sampling for name, value in networks[key].stored.state_dict().items()
    }
    assert len(placed) == 2 * len(official())
    assert placed == ours
    assert place("G_A.model.1.weight")[0] == "to_mask"


def test_statistics_that_norms_saved_are_left_out_and_other_names_are_refused():
    assert place("G_B.model.2.running_mean") is None
    with pytest.raises(SemFlowError, match="model.1.weight does not say which generator it is of; put G_A or G_B and a dot"):
        place("model.1.weight")
    with pytest.raises(SemFlowError, match="model.28.weight is no weight of the official generator"):
        place("G_A.model.28.weight")
