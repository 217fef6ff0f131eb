"""SPADE against F.batch_norm, SVD, published counts and fields; its small and its published size."""

import inspect
from functools import cache

import numpy as np
import pytest
import torch
from fields import field_of
from sizes import papers, small
from torch import nn
from torch.nn.functional import batch_norm, conv2d, interpolate
from torch.nn.utils.parametrize import remove_parametrizations

from baselines.parts import gan
from baselines.parts.spade import Encoder, LayoutGAN, Layouts, Spade
from baselines.parts.spade_settings import LayoutGANSettings, Style
from baselines.spade import CARD
from baselines.spade.model import SPADE, Block
from baselines.spade.released import place
from semflow.errors import SemFlowError
from semflow.loading.batches import Batch
from semflow.method.contract import Blueprint
from semflow.method.samplers import DIRECT

META = torch.device("meta")
SMALL, PAPER = small("spade"), papers("spade")
STYLE = {"z": 8, "widths": [4, 8], "side": 16, "divergence": 0.05}
PAPER_STYLE = {"z": 256, "widths": [64, 128, 256, 512, 512, 512], "side": 256, "divergence": 0.05}
TINY = SMALL | {"widths": [8, 8, 4], "shrink": [4, 2, 1], "hidden": 4, "discriminator_width": 4, "discriminator_layers": 1}


def built(settings: dict, classes: int = 16, size: tuple[int, int] = (32, 32)) -> SPADE:
    blueprint = Blueprint(classes, size, 0.0, None, None, None)
    return SPADE.build(blueprint, LayoutGANSettings.model_validate(settings))


@cache
def published(channels: int) -> SPADE:
    with META:
        return built(PAPER, channels, (512, 512))


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def batch(n: int = 4, size: int = 32, device: torch.device | None = None) -> Batch:
    images = torch.randint(256, (n, 3, size, size), dtype=torch.uint8, device=device)
    return Batch(images, torch.randint(16, (n, size, size), dtype=torch.uint8, device=device))


@pytest.mark.parametrize(("channels", "weights"), [(182 + 1 + 1, 97_480_899), (150 + 1, 96_492_483), (35 + 1, 93_048_003)])
def test_published_generators_have_their_weights(channels, weights):
    """COCO-Stuff with channels for no class and for edges, ADE20K with one for no class, Cityscapes with one for edges."""
    assert count(published(channels).networks["generator"]) == weights


def test_small_networks_have_their_weights():
    networks = built(SMALL).networks
    assert count(networks["generator"]) == pytest.approx(1.11e6, rel=0.01)
    assert count(networks["discriminator"]) == pytest.approx(0.19e6, rel=0.03)


def test_each_phase_of_the_published_size_has_a_gradient_of_its_own_networks():
    with META:
        model = built(PAPER | {"style": PAPER_STYLE}, 19, (64, 64))
        seen = model.look(batch(2, 64, META), None)
        for phase in model.phases:
            model.networks.requires_grad_(False)
            moved = [weight for key in phase.moves for weight in model.networks[key].parameters()]
            for weight in moved:
                weight.requires_grad_(True)
            losses = model.losses(phase.name, seen, None, {})
            gradients = torch.autograd.grad(sum(losses.values()), moved)
            assert [gradient.shape for gradient in gradients] == [weight.shape for weight in moved]


@pytest.mark.parametrize("training", [True, False])
def test_without_scale_and_shift_the_norm_is_batch_norm(training):
    spade, x, layout = Spade(6, 5, 4).train(training), torch.randn(3, 6, 8, 8), torch.rand(3, 5, 16, 16)
    for layer in (spade.scale, spade.shift):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    expected = batch_norm(x, spade.norm.running_mean.clone(), spade.norm.running_var.clone(), training=training)
    torch.testing.assert_close(spade(x, layout), expected)


def test_scale_and_shift_are_those_of_every_pixels_class():
    """Kernels whose middle alone counts, and which give class c the scale 1 + c and the shift 10 c."""
    spade, x = Spade(2, 3, 3), torch.randn(2, 2, 4, 4)
    for layer in (spade.shared, spade.scale, spade.shift):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    spade.shared.weight.data[:, :, 1, 1] = torch.eye(3)
    spade.scale.weight.data[:, :, 1, 1] = torch.arange(3.0)
    spade.shift.weight.data[:, :, 1, 1] = 10 * torch.arange(3.0)
    labels = torch.randint(3, (2, 8, 8), dtype=torch.uint8)
    there = labels[:, None, ::2, ::2].float()  # nearest neighbour at half the size
    expected = batch_norm(x, None, None, training=True) * (1 + there) + 10 * there
    torch.testing.assert_close(spade(x, gan.one_hot_of(labels, 3)), expected)


def test_a_label_reaches_two_pixels_far_in_one_norm():
    layout = torch.rand(1, 2, 16, 16, requires_grad=True)
    spade = Spade(1, 2, 16)
    spade(torch.randn(1, 1, 16, 16), layout)[0, 0, 8, 8].backward()
    touched = layout.grad.abs().sum((0, 1)).nonzero()
    assert (touched.min().item(), touched.max().item()) == (6, 10)


@pytest.mark.parametrize("outside", [3, 2])
def test_a_block_adds_to_its_shortcut(outside):
    """Whose convolutions give nothing; where widths differ the shortcut has a norm and a convolution 1 x 1 without bias."""
    block, x, layout = Block(3, outside, 2, 4), torch.randn(2, 3, 4, 4), torch.rand(2, 2, 4, 4)
    remove_parametrizations(block.convolutions[1], "weight")
    for weight in block.convolutions[1].parameters():
        nn.init.zeros_(weight)
    block.eval()
    expected = x
    if outside != 3:
        assert (block.shortcut.weight.shape, block.shortcut.bias) == ((2, 3, 1, 1), None)
        expected = conv2d(block.shortcut_norm(x, layout), block.shortcut.weight)
    assert torch.equal(block(x, layout), expected)


def test_spectral_norms_divide_by_the_largest_singular_value():
    model = built(TINY | {"style": STYLE}, size=(16, 16))
    parametrized = [module for module in model.networks.modules() if hasattr(module, "parametrizations")]
    assert len(parametrized) == 2 * 3 + 1 + 2 + 2 * 1  # blocks, the shortcut of one, the encoder, discriminators
    for module in parametrized:
        for _ in range(300):
            weight = module.weight
        assert np.linalg.svd(weight.detach().flatten(1).numpy())[1][0] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("settings", "field"), [(SMALL, 34), (PAPER, 70)])
def test_a_discriminators_score_depends_on_its_patch_alone(settings, field):
    narrow = settings | {"discriminator_width": 2, "perceptual": 0, "vgg19": None}
    model = built(narrow | {"widths": [4, 4], "shrink": [2, 1], "hidden": 2}, 1, (160, 160))
    assert field_of(model.networks["discriminator"].scales[0].eval(), 4) == field


def test_the_generator_is_a_start_and_blocks_each_at_its_size():
    generator, sizes = built(SMALL).networks["generator"], []
    for block in generator.blocks:
        block.register_forward_pre_hook(lambda block, inputs: sizes.append(tuple(inputs[0].shape[1:])))
    layout = gan.one_hot_of(batch(2).mask, 16)
    picture = generator(layout, None)
    assert sizes == [(128, 4, 4), (128, 4, 4), (128, 8, 8), (64, 16, 16), (32, 32, 32)]
    assert (picture.shape, bool(picture.abs().max() <= 1)) == ((2, 3, 32, 32), True)
    torch.testing.assert_close(generator.start(layout, None), generator.start.layer(layout[..., ::8, ::8]))


def test_a_style_takes_the_layouts_place_at_the_start():
    generator = built(TINY | {"style": STYLE}).networks["generator"]
    z = torch.randn(2, 8)
    start = generator.start(torch.rand(2, 16, 32, 32), z)
    assert torch.equal(start, generator.start.layer(z).view(2, 8, 8, 8))


def test_the_published_encoder_ends_at_four_by_four():
    with META:
        encoder = Encoder(**Style.model_validate(PAPER_STYLE).model_dump(exclude={"divergence"}))
        mean, log_variance = encoder(torch.empty(2, 3, 512, 512))
    assert (mean.shape, log_variance.shape) == ((2, 256), (2, 256))
    assert encoder.mean.in_features == 512 * 4 * 4


def test_the_encoder_sees_pictures_at_its_own_size():
    encoder, pictures = Encoder(8, (4, 8), 16).eval(), torch.rand(2, 3, 32, 32)
    smaller = interpolate(pictures, (16, 16), mode="bilinear", align_corners=False)
    assert all(map(torch.equal, encoder(pictures), encoder(smaller)))


def test_losses_are_the_published_ones(monkeypatch):
    """Worked out again from what the networks gave, by torch.distributions and by hand."""
    from torch.distributions import Normal, kl_divergence

    model, given = built(TINY | {"style": STYLE}), {}
    for key in ("encoder", "discriminator"):
        model.networks[key].register_forward_hook(lambda _, x, y, key=key: given.setdefault(key, []).append(y))
    seen = model.look(batch(), None)
    losses = model.losses("generator", seen, torch.Generator().manual_seed(0), {})
    (mean, log_variance), (fake, real) = given["encoder"][0], given["discriminator"]
    scores = [scale[-1] for scale in fake]
    layers = [pair for scales in zip(fake, real, strict=True) for pair in zip(*scales, strict=True) if pair[0].shape[1] > 1]
    matched = sum((a - b).abs().mean() for a, b in layers)
    expected = {
        "adversarial": -sum(score.mean() for score in scores) / 2,
        "features": 10 * matched / 2,
        "divergence": 0.05 * kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(),
    }
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value)
    given.clear()
    losses = model.losses("discriminator", seen, torch.Generator().manual_seed(0), {})
    fake, real = given["discriminator"]
    torch.testing.assert_close(losses["real"], sum((1 - scale[-1]).clamp(min=0).mean() for scale in real) / 2)
    torch.testing.assert_close(losses["fake"], sum((1 + scale[-1]).clamp(min=0).mean() for scale in fake) / 2)
    assert not any(loss.grad_fn is None for loss in losses.values())


def test_the_discriminators_see_pictures_drawn_anew_and_pass_no_gradient_to_the_generator():
    model, drawn = built(TINY), []
    model.networks["generator"].register_forward_hook(lambda _, x, y: drawn.append(y))
    seen, carry = model.look(batch(), None), {}
    model.losses("generator", seen, None, carry)
    with torch.no_grad():
        model.networks["generator"].last.bias.add_(0.1)  # the generator's step
    sum(model.losses("discriminator", seen, None, carry).values()).backward()
    assert len(drawn) == 2
    assert not torch.allclose(*drawn)
    assert all(weight.grad is None for weight in model.networks["generator"].parameters())


def test_the_perceptual_distance_is_vgg19s(tmp_path):
    model = built(TINY | {"perceptual": 10.0, "vgg19": str(tmp_path / "vgg19.pth")})
    seen = model.look(batch(), None)
    model.beside[0] = type("Distance", (nn.Module,), {"forward": lambda _, fake, real: (fake - real).abs().sum()})()
    model.networks.eval()
    fake = model.networks["generator"](seen.layout, None)
    loss = model.losses("generator", seen, None, {})["perceptual"]
    torch.testing.assert_close(loss, 10 * (fake - seen.real).abs().sum())


def test_styles_of_pictures_have_the_encoders_mean_and_spread():
    model = built(TINY | {"style": STYLE})
    model.networks["encoder"].forward = lambda pictures: (torch.full((20000, 8), 3.0), torch.full((20000, 8), 4.0).log())
    z, _ = model.style(torch.empty(20000, 0), torch.Generator().manual_seed(0))
    assert z.mean().item() == pytest.approx(3, abs=5 * 2 / 400)
    assert z.var().item() == pytest.approx(4, rel=5 * (2 / 160000) ** 0.5)


def test_no_test_image_is_seen_in_synthesis():
    """The style is drawn from N(0, I): there is no image to take it from, and the encoder is not asked."""
    assert list(inspect.signature(LayoutGAN.synthesize).parameters) == ["self", "labels", "sampler", "generator", "amplitude"]
    assert SPADE.synthesize is LayoutGAN.synthesize
    model, styles = built(TINY | {"style": STYLE}, size=(8, 8)), []
    model.networks["encoder"].forward = None
    model.generator.forward = lambda layout, z: styles.append(z)
    model.synthesize(torch.zeros(20000, 8, 8, dtype=torch.uint8), DIRECT, torch.Generator().manual_seed(0))
    (z,) = styles
    assert z.mean().item() == pytest.approx(0, abs=5 / 400)
    assert z.var().item() == pytest.approx(1, rel=5 * (2 / 160000) ** 0.5)


@torch.no_grad()
@pytest.mark.parametrize("style", [None, STYLE])
def test_pictures_are_those_of_the_seed_and_without_a_style_of_the_layout_alone(style):
    model, labels = built(TINY | {"style": style}), batch().mask
    model.networks.eval()
    nn.init.normal_(model.generator.start.layer.weight)
    state = torch.get_rng_state()
    one, same, other = (model.synthesize(labels, DIRECT, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert (one.shape, one.dtype) == ((4, 3, 32, 32), torch.float32)
    assert torch.equal(one, same)
    assert torch.equal(one, other) == (style is None)


@torch.no_grad()
def test_ignored_pixels_are_of_no_class():
    model, labels = built(TINY).networks["generator"], torch.full((1, 32, 32), 255, dtype=torch.uint8)
    model.eval()
    assert torch.equal(model(gan.one_hot_of(labels, 16), None), model(torch.zeros(1, 16, 32, 32), None))


@pytest.mark.parametrize("batches", [(1,), (3,), (5,), (4, 4, 4), (3, 3, 3, 3), (13,), (4, 11)])
def test_the_last_label_maps_are_kept(batches):
    kept, given = Layouts(5, (2, 2)), 0
    for n in batches:
        kept(torch.arange(given, given + n, dtype=torch.uint8)[:, None, None].expand(-1, 2, 2))
        given += n
    assert sorted(kept.held()[:, 0, 0].tolist()) == [*range(max(0, given - 5), given)]


def official() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the official generator for ADE20K, from its published architecture."""
    names, classes, hidden = {"fc.weight": (1024, 151, 3, 3), "fc.bias": (1024,)}, 151, 128
    rows = [("head_0", 1024, 1024), ("G_middle_0", 1024, 1024), ("G_middle_1", 1024, 1024)]
    rows += [(f"up_{n}", 1024 >> n, 512 >> n) for n in range(4)]
    for block, a, b in rows:
        middle = min(a, b)
        for layer, i, o, k in (("conv_0", a, middle, 3), ("conv_1", middle, b, 3), ("conv_s", a, b, 1)):
            if layer == "conv_s" and a == b:
                continue
            names |= {
                f"{block}.{layer}.weight_orig": (o, i, k, k),
                f"{block}.{layer}.weight_u": (o,),
                f"{block}.{layer}.weight_v": (i * k * k,),
            }
            names |= {f"{block}.{layer}.bias": (o,)} if k == 3 else {}
            norm = f"{block}.norm_{layer[-1]}"
            names |= {f"{norm}.param_free_norm.running_{what}": (i,) for what in ("mean", "var")}
            names[f"{norm}.param_free_norm.num_batches_tracked"] = ()
            for part, c, d in (("mlp_shared.0", classes, hidden), ("mlp_gamma", hidden, i), ("mlp_beta", hidden, i)):
                names |= {f"{norm}.{part}.weight": (d, c, 3, 3), f"{norm}.{part}.bias": (d,)}
    return names | {"conv_img.weight": (3, 64, 3, 3), "conv_img.bias": (3,)}


def test_released_weights_have_a_place_each_and_none_is_left_without():
    network = published(151).networks["generator"]
    placed = {place(name): shape for name, shape in official().items()}
    assert placed == {("generator", name): tuple(value.shape) for name, value in network.stored.state_dict().items()}
    assert len(placed) == len(official())


def test_released_weights_that_sampling_does_not_need_have_none():
    assert place("discriminator_0.model1.0.weight_orig") is None
    assert place("layer3.0.weight_u") is None
    assert place("fc_mu.weight") is None
    for name in ("up_4.conv_0.bias", "xconv_img.weight", "head_0.conv_0.weight.other"):
        with pytest.raises(SemFlowError, match="is no name of the official code's networks"):
            place(name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"widths": [8, 8]}, "one entry for each block"),
        ({"shrink": [4, 2, 2]}, "must end in 1"),
        ({"shrink": [3, 2, 1]}, "each entry divide the one before it"),
        ({"perceptual": 1.0}, "name VGG19's file"),
        ({"style": STYLE | {"side": 18}}, "side 18 cannot be halved 2 times"),
        ({"style": STYLE | {"side": 4}}, "side 4 cannot be halved 2 times, once a width, to 2 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        LayoutGANSettings.model_validate(TINY | change)


def test_pictures_that_cannot_be_shrunk_are_refused():
    with pytest.raises(SemFlowError, match=r"methods.spade.shrink begins with 4, .* data.size \[30, 32\] are no multiples"):
        built(TINY, size=(30, 32))


def test_the_card_offers_synthesis_alone():
    assert CARD.load() is SPADE
    assert set(CARD.tasks) == {"synthesis"}
