"""SC-GAN against scipy, brute force and published counts; its small and its published size."""

from functools import cache

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from sizes import papers, small
from torch import nn
from torch.nn.functional import adaptive_avg_pool3d, batch_norm, conv2d

from baselines.parts import gan
from baselines.scgan import CARD, SCGANSettings
from baselines.scgan.model import SCGAN, Block, MixedConvolution, MixedNorm, Routing, blurred, mixture, pyramid, window
from baselines.scgan.released import arrange, place
from semflow.errors import SemFlowError
from semflow.loading.batches import Batch
from semflow.method.contract import Blueprint
from semflow.method.samplers import DIRECT
from semflow.suite import reading as config
from semflow.tools.convert import convert
from semflow.training.build import make_model
from semflow.training.checkpoints import open_checkpoint

META = torch.device("meta")
SMALL, PAPER = small("scgan"), papers("scgan")
BLUR = PAPER["blur"]
COCO = {  # of the published generator's shape alone: it has no style, and its discriminator is another
    "first": 384,
    "widths": [512, 512, 512, 256, 128, 64, 32],
    "routing": [384, 192, 96, 48, 24, 24],
    "kernels": 2,
    "affines": 2,
    "style": None,
}
TINY = SMALL | {
    "first": 6, "widths": [8, 8, 4], "shrink": [4, 2, 1], "routing": [8, 4, 4], "hidden": 4, "discriminator_width": 4,
    "discriminator_layers": 1, "style": {"z": 8, "widths": [4, 8], "side": 16, "divergence": 0.05},
}  # fmt: skip


def built(settings: dict, classes: int = 16, size: tuple[int, int] = (32, 32)) -> SCGAN:
    blueprint = Blueprint(classes, size, 0.0, None, None, None)
    return SCGAN.build(blueprint, SCGANSettings.model_validate(settings))


@cache
def published() -> SCGAN:
    with META:
        return built(PAPER, 19, (512, 512))


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def batch(n: int = 4, size: int = 32, device: torch.device | None = None) -> Batch:
    images = torch.randint(256, (n, 3, size, size), dtype=torch.uint8, device=device)
    return Batch(images, torch.randint(16, (n, size, size), dtype=torch.uint8, device=device))


def shares(n: int, *sides: int) -> torch.Tensor:
    """A mixture of n parts at random."""
    return torch.randn(sides[0], n, *sides[1:]).softmax(1)


def one_hot(n: int, labels: torch.Tensor) -> torch.Tensor:
    return gan.one_hot_of(labels, n)


def test_published_networks_have_their_weights():
    """CelebAMask-HQ at 512 x 512, and its encoder; COCO-Stuff at 256 x 256, with 2 affines, where the official configuration's 3
    would have 8,512 more.
    """
    networks = published().networks
    assert count(networks["generator"]) == 147_570_054
    assert count(networks["encoder"]) == pytest.approx(6.7e6, rel=0.01)
    with META:
        generator = built(PAPER | COCO, 183, (256, 256)).networks["generator"]
    assert count(generator) == 41_838_326
    assert sum(norm.affines[0].numel() for block in generator.blocks for norm in block.norms) == 8_512


def test_small_networks_have_their_weights():
    networks = built(SMALL).networks
    assert count(networks["generator"]) == pytest.approx(1.16e6, rel=0.01)
    assert count(networks["encoder"]) == pytest.approx(0.07e6, rel=0.03)


def test_each_phase_of_the_published_size_has_a_gradient_of_its_own_networks():
    model = published()
    with META:
        seen = model.look(batch(2, 512, META), None)
        for phase in model.phases:
            model.networks.requires_grad_(False)
            moved = [weight for key in phase.moves for weight in model.networks[key].parameters()]
            for weight in moved:
                weight.requires_grad_(True)
            gradients = torch.autograd.grad(sum(model.losses(phase.name, seen, None, {}).values()), moved)
            assert [gradient.shape for gradient in gradients] == [weight.shape for weight in moved]
    assert [phase.moves for phase in model.phases] == [("generator", "encoder"), ("discriminator",)]


def test_the_blur_is_scipys_within_a_class():
    labels = np.random.default_rng(0).integers(3, size=(24, 24))
    layout = np.stack([labels == c for c in range(3)]).astype(np.float64)
    normalized = np.stack([gaussian_filter(plane, 1.5, mode="constant", radius=3) for plane in layout])
    total = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 1.5**2)).sum() ** 2  # scipy's kernel sums to 1, ours has 1 in its middle
    ours = blurred(torch.from_numpy(layout)[None].float(), window(7, 1.5))[0].double().numpy()
    np.testing.assert_allclose(ours, normalized * total * layout, rtol=1e-5)


def test_the_pyramid_takes_every_second_pixel_and_blurs_its_finest_levels():
    layout, kernel = torch.randint(2, (1, 2, 32, 32)).float(), window(3, 0.75)
    coarse, third, second, whole = pyramid(layout, 4, kernel, 3)
    assert torch.equal(whole, blurred(layout, kernel))
    assert torch.equal(second, blurred(layout[..., ::2, ::2], kernel))
    assert torch.equal(third, blurred(second[..., ::2, ::2], kernel))
    assert torch.equal(coarse, third[..., ::2, ::2])
    assert all(map(torch.equal, pyramid(layout, 3, kernel, 0), (layout[..., ::4, ::4], layout[..., ::2, ::2], layout)))


def test_each_levels_vectors_come_from_its_labels_and_the_level_below():
    routing = Routing(3, (6, 4, 2), {"window": 3, "sigma": 0.75, "levels": 0})
    layout = torch.rand(1, 3, 16, 16)
    vectors, picture = routing(layout)
    assert [tuple(level.shape[1:]) for level in vectors] == [(6, 4, 4), (4, 8, 8), (2, 16, 16)]
    assert (tuple(picture.shape), bool(picture.abs().max() <= 1)) == ((1, 3, 16, 16), True)
    torch.testing.assert_close(vectors[0], routing.levels[0](layout[..., ::4, ::4]))
    below = torch.where(vectors[0] > 0, vectors[0], 0.2 * vectors[0]).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(vectors[1], routing.levels[1](torch.cat([below, layout[..., ::2, ::2]], 1)))


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_mixtures_are_shares_that_sum_to_one_and_follow_the_groups_means(groups):
    vectors = 10 * torch.randn(2, 8, 4, 4)
    shares = mixture(vectors, groups, 0.5)
    torch.testing.assert_close(shares.sum(1), torch.ones(2, 4, 4))
    means = adaptive_avg_pool3d(vectors[:, None], (groups, 4, 4))[:, 0]  # as published: groups overlap where 8 has no such third
    torch.testing.assert_close(shares, (0.5 * means).softmax(1))


def test_equal_kernels_are_one_convolution():
    mixed, x = MixedConvolution(3, 5, 3), torch.randn(2, 3, 8, 8)
    mixed.eval()
    for kernel in mixed.kernels:
        kernel.load_state_dict(mixed.kernels[0].state_dict())
    torch.testing.assert_close(mixed(x, shares(3, 2, 8, 8)), conv2d(x, mixed.kernels[0].weight, padding=1))
    assert mixed.kernels[0].bias is None


def test_a_mixture_of_one_picks_that_kernel_and_that_affine():
    mixed, norm, x = MixedConvolution(3, 5, 3).eval(), MixedNorm(3, 3), torch.randn(2, 3, 8, 8)
    nn.init.normal_(norm.affines)
    labels = torch.randint(3, (2, 8, 8), dtype=torch.uint8)
    convolved, scaled = mixed(x, one_hot(3, labels)), norm(x, one_hot(3, labels))
    normalized = batch_norm(x, None, None, training=True)
    for number, kernel in enumerate(mixed.kernels):
        at = (labels == number)[:, None]
        torch.testing.assert_close(convolved.where(at, 0), conv2d(x, kernel.weight, padding=1).where(at, 0))
        scale, shift = norm.affines[number].view(2, 3, 1, 1)
        torch.testing.assert_close(scaled.where(at, 0), (normalized * (1 + scale) + shift).where(at, 0))


def test_the_norm_begins_as_batch_norm():
    x = torch.randn(2, 3, 8, 8)
    expected = batch_norm(x, None, None, training=True)
    torch.testing.assert_close(MixedNorm(3, 2)(x, shares(2, 2, 8, 8)), expected)


def test_the_shortcut_sees_the_layout_and_no_mixture():
    block, x, layout = Block(3, 2, 4, 5, 3, 3).eval(), torch.randn(2, 3, 8, 8), torch.rand(2, 4, 8, 8)
    nothing = torch.zeros(2, 3, 8, 8)
    expected = conv2d(block.shortcut_norm(x, layout), block.shortcut.weight, block.shortcut.bias, padding=1)
    assert torch.equal(block(x, nothing, nothing, layout), expected)


def test_every_block_is_given_the_mixtures_of_its_size():
    generator, sizes = published().networks["generator"], []
    for block in generator.blocks:
        block.register_forward_pre_hook(lambda block, inputs: sizes.append([one.shape[-1] for one in inputs[:3]]))
    with META:
        picture, coarse = generator(torch.empty(1, 19, 512, 512), torch.empty(1, 256))
    assert sizes == [[side] * 3 for side in (16, 32, 32, 64, 128, 256, 512)]
    assert picture.shape == coarse.shape == (1, 3, 512, 512)


def test_the_coarse_picture_is_held_against_the_real_one():
    model, coarse = built(TINY | {"coarse": 2.0}), []
    model.networks["generator"].register_forward_hook(lambda _, x, y: coarse.append(y[1]))
    seen, carry = model.look(batch(), None), {}
    losses = model.losses("generator", seen, None, carry)
    assert set(losses) == {"adversarial", "features", "divergence", "coarse"}
    torch.testing.assert_close(losses["coarse"], 2 * (coarse[0] - seen.real).abs().mean())
    assert carry == {}
    assert set(model.losses("discriminator", seen, None, {})) == {"real", "fake"}


@torch.no_grad()
def test_pictures_are_those_of_the_seed_and_lie_in_range():
    model, labels = built(TINY), batch().mask
    model.networks.eval()
    nn.init.normal_(model.generator.start.layer.weight)
    nn.init.normal_(model.generator.last.weight)
    one, same, other = (model.synthesize(labels, DIRECT, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert (one.abs().max().item(), one.shape) == (1, (4, 3, 32, 32))


def official() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the official generator for CelebAMask-HQ at 512 x 512, from its published architecture."""
    names = {"fc.weight": (512 * 16 * 16, 256), "fc.bias": (512 * 16 * 16,)}

    def layer(name: str, i: int, o: int, spectral: bool = False, bias: bool = True) -> None:
        names[f"{name}.weight_orig" if spectral else f"{name}.weight"] = (o, i, 3, 3)
        names.update({f"{name}.weight_u": (o,), f"{name}.weight_v": (9 * i,)} if spectral else {})
        names.update({f"{name}.bias": (o,)} if bias else {})

    def norm(name: str, channels: int) -> None:
        names.update({f"{name}.param_free_norm.running_{what}": (channels,) for what in ("mean", "var")})
        names[f"{name}.param_free_norm.num_batches_tracked"] = ()

    before = 0
    for level, width in enumerate((512, 256, 128, 64, 32, 32), 1):
        first, second = (0, 2) if level == 1 else (1, 3)
        layer(f"pyramid_spaital_routing.labelDec{level}.{first}", before + 19, width)
        layer(f"pyramid_spaital_routing.labelDec{level}.{second}", width, width)
        before = width
    layer("pyramid_spaital_routing.toRGB.0", 32, 16)
    layer("pyramid_spaital_routing.toRGB.2", 16, 3)
    rows = [("head_0", 512, 768), ("G_middle_0", 768, 768), ("G_middle_1", 768, 768)]
    rows += [(f"up_{n}", 768 >> n, 384 >> n) for n in range(4)]
    for block, a, b in rows:
        for number, (i, o) in enumerate(((a, min(a, b)), (min(a, b), b))):
            norm(f"{block}.norm_{number}", i)
            names[f"{block}.norm_{number}.affine_params_groups"] = (3, 2 * i)
            for expert in range(3):
                layer(f"{block}.conv_{number}.conv_bases.{expert}", i, o, spectral=True, bias=False)
        if a != b:
            layer(f"{block}.conv_s", a, b, spectral=True)
            norm(f"{block}.norm_s", a)
            for part, i, o in (("mlp_shared.0", 19, 128), ("mlp_gamma", 128, a), ("mlp_beta", 128, a)):
                layer(f"{block}.norm_s.{part}", i, o)
    layer("conv_img", 48, 3)
    return names


def test_released_weights_have_a_place_each_and_none_is_left_without():
    network = published().networks["generator"]
    placed = {place(name): shape for name, shape in official().items()}
    assert placed == {("generator", name): tuple(value.shape) for name, value in network.stored.state_dict().items()}
    assert len(placed) == len(official())
    assert place("layer1.0.weight_orig") is place("fc_var.bias") is place("discriminator_1.model0.0.weight") is None
    with pytest.raises(SemFlowError, match="is no name of the official code's networks"):
        place("pyramid_spaital_routing.labelDec7.1.weight")


def test_released_weights_of_layers_that_see_a_layout_are_put_in_our_order_of_classes():
    """Theirs has the background last, ours first: on a layout in its own order each gives the same."""
    labels = torch.randint(19, (1, 8, 8), dtype=torch.uint8)
    ours, theirs = one_hot(19, labels), one_hot(19, ((labels.long() + 18) % 19).byte())
    below, seen = torch.randn(1, 5, 8, 8), 0
    for name, shape in official().items():
        weight = torch.randn(4, *shape[1:]) if len(shape) == 4 else torch.randn(2, 2)
        arranged = arrange(name, weight, 19)
        if len(shape) == 4 and shape[1] in (19, 512 + 19, 256 + 19, 128 + 19, 64 + 19, 32 + 19):
            weight = torch.cat([torch.randn(4, 5, 3, 3), weight[:, -19:]], 1)
            arranged, seen = arrange(name, weight, 19), seen + 1
            expected = conv2d(torch.cat([below, theirs], 1), weight)
            torch.testing.assert_close(conv2d(torch.cat([below, ours], 1), arranged), expected)
        else:
            assert arranged is weight
    assert seen == 6 + 5  # levels of the routing network, shortcuts


def test_a_file_of_official_names_becomes_a_checkpoint(tiny, tmp_path):
    """Of networks as deep as published, and narrow; labels that they see are in our order."""
    narrow = {"widths": [4] * 3 + [3] * 4, "shrink": PAPER["shrink"], "routing": [3] * 6, "batch_size": 8}
    tiny["data"]["size"] = [32, 32]
    suite = config.check(tiny | {"methods": tiny["methods"] | {"scgan": TINY | narrow}}, "tiny")
    weights = make_model(suite, "scgan").networks["generator"].state_dict()
    theirs = {name: weights[place(name)[1]] for name in official() if place(name)[1] in weights}
    assert len(theirs) == len(weights)
    torch.save(theirs, tmp_path / "latest_net_G.pth")
    convert(tmp_path / "latest_net_G.pth", suite, "scgan", tmp_path / "out")
    opened = open_checkpoint(tmp_path / "out")[0].networks["generator"]
    assert torch.equal(opened.last.weight, weights["last.weight"])
    for name in ("routing.levels.1.0.weight", "blocks.0.shortcut_norm.shared.weight"):
        assert torch.equal(opened.state_dict()[name][:, -16:], weights[name][:, -16:].roll(1, 1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"blur": BLUR | {"window": 4}}, "window 4 has no middle pixel"),
        ({"routing": [8, 4]}, r"shrink must hold \[2, 1\], not \[4, 2, 1\]"),
        ({"kernels": 5}, "cannot mix more than as many kernels"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        SCGANSettings.model_validate(TINY | change)


def test_the_card_offers_synthesis_alone():
    assert CARD.load() is SCGAN
    assert set(CARD.tasks) == {"synthesis"}
