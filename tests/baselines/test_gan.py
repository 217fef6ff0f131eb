"""The adversarial methods' shared parts against closed forms, worked examples and brute force."""

import numpy as np
import pytest
import torch
from fields import field_of
from torch.distributions import Normal, kl_divergence

from baselines.parts import gan
from semflow import seeds
from semflow.errors import SemFlowError


def discriminator(**changes):
    torch.manual_seed(0)
    return gan.Discriminator(**{"channels": 3, "width": 8, "layers": 2, "padding": 2, "norm": "instance", "scales": 2} | changes)


def test_ignored_pixels_are_of_no_class():
    layout = gan.one_hot_of(torch.tensor([[[0, 2, 255]]], dtype=torch.uint8), 3)
    assert layout.tolist() == [[[[1, 0, 0]], [[0, 0, 0]], [[0, 1, 0]]]]


@pytest.mark.parametrize(("real", "loss"), [(True, 0.25), (False, 0.25)])
def test_least_squares_of_an_undecided_discriminator(real, loss):
    assert gan.least_squares([torch.full((2, 1, 3, 3), 0.5)], real).item() == loss


def test_least_squares_are_summed_over_scales_and_the_hinge_is_averaged():
    one, other = torch.full((1, 1, 4, 4), 3.0), torch.full((1, 1, 2, 2), -1.0)
    assert gan.least_squares([one, other], True).item() == 4 + 4
    assert gan.hinge_generator([one, other]).item() == (-3 + 1) / 2
    assert gan.hinge_discriminator([one, other], True).item() == (0 + 2) / 2


@pytest.mark.parametrize(("real", "losses"), [(True, [3, 1, 0]), (False, [0, 1, 3])])
def test_the_hinge_at_three_scores(real, losses):
    assert [gan.hinge_discriminator([torch.tensor([score])], real).item() for score in (-2.0, 0.0, 2.0)] == losses


def test_feature_matching_leaves_the_scores_out_and_averages_over_scales():
    zero, two = torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 2.0)
    fake, real = [[zero, zero, two], [zero, two]], [[two, two / 2, zero], [two / 4, zero]]
    assert gan.feature_matching(fake, real).item() == ((2 + 1) + 0.5) / 2


def test_feature_matching_moves_the_fake_alone():
    network, fake, real = (
        discriminator(),
        torch.rand(1, 3, 16, 16, requires_grad=True),
        torch.rand(1, 3, 16, 16, requires_grad=True),
    )
    gan.feature_matching(network(fake), network(real)).backward()
    assert fake.grad.abs().sum() > 0
    assert real.grad is None


def test_the_divergence_is_that_of_torch():
    mean, log_variance = torch.randn(3, 5), torch.randn(3, 5)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0, 1)).sum()
    torch.testing.assert_close(gan.divergence(mean, log_variance), expected)


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70)])
def test_a_score_depends_on_its_patch_alone(layers, field):
    assert field_of(gan.PatchDiscriminator(1, 2, layers, 1, "instance"), 1) == field


def test_the_second_scale_sees_half_the_picture():
    network, picture = discriminator(), torch.rand(1, 3, 32, 32)
    halved = torch.nn.functional.avg_pool2d(picture, 3, 2, 1, count_include_pad=False)
    assert all(map(torch.equal, network(picture)[1], network.scales[1](halved)))


def test_published_discriminators_have_their_parameters():
    def parameters(**settings):
        with torch.device("meta"):
            return sum(weight.numel() for weight in discriminator(**settings).parameters())

    assert parameters(width=64, layers=3, padding=1, scales=1) == 2_764_737  # CycleGAN's


def test_a_spectral_norm_divides_by_the_largest_singular_value():
    network = discriminator(norm="spectral").train()
    with torch.no_grad():
        for _ in range(200):
            network(torch.rand(1, 3, 16, 16))
    convolution = network.scales[0].layers[1][0]
    assert np.linalg.svd(convolution.weight.detach().flatten(1).numpy())[1][0] == pytest.approx(1, abs=1e-4)


def test_a_spectral_norm_is_worked_out_in_float32_in_a_network_that_computes_in_bfloat16(monkeypatch):
    plain, seen = gan._SpectralNorm.forward, []

    def forward(self, weight):
        seen.append(torch.is_autocast_enabled("cpu"))
        return plain(self, weight)

    network = discriminator(norm="spectral")
    monkeypatch.setattr(gan._SpectralNorm, "forward", forward)
    with torch.autocast("cpu", torch.bfloat16):
        scores = network(torch.rand(1, 3, 16, 16))[0][-1]
    assert scores.dtype == torch.bfloat16
    assert set(seen) == {False}


def test_weights_under_a_spectral_norm_are_initialized():
    network = discriminator(norm="spectral")
    gan.initialize(network, lambda weight: torch.nn.init.constant_(weight, 0.5))
    assert network.scales[0].layers[1][0].parametrizations.weight.original.unique().tolist() == [0.5]


def numbered(first: int, last: int) -> torch.Tensor:
    return torch.arange(first, last, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 2, 2)


def numbers(pictures: torch.Tensor) -> list[int]:
    return [int(value) for value in pictures[:, 0, 0, 0]]


def test_the_pool_gives_back_what_it_gets_until_it_is_full():
    pool = gan.Pool(50, 1, (2, 2))
    assert numbers(pool(numbered(1, 51), torch.Generator().manual_seed(0))) == [*range(1, 51)]
    assert numbers(pool.pictures) == [*range(1, 51)]


def test_a_full_pool_gives_past_pictures_half_the_time_and_keeps_those_that_it_gives_them_for():
    pool, source = gan.Pool(50, 1, (2, 2)), torch.Generator().manual_seed(0)
    pool(numbered(0, 50), source)
    given = numbers(pool(numbered(50, 4050), source))
    past = [number for number, new in zip(given, range(50, 4050), strict=True) if number != new]
    assert pytest.approx(len(past), abs=4 * 1000**0.5) == 0.5 * 4000
    assert len(set(past)) == len(past)  # what it gave it keeps no longer
    assert set(given) | set(numbers(pool.pictures)) == {*range(4050)}  # none is lost


def test_a_pool_goes_on_from_its_buffers():
    whole, cut, source = gan.Pool(4, 1, (2, 2)), gan.Pool(4, 1, (2, 2)), torch.Generator().manual_seed(0)
    whole(numbered(0, 6), source)
    cut.load_state_dict(whole.state_dict())
    state = source.get_state()
    expected = whole(numbered(6, 16), source)
    source.set_state(state)
    assert torch.equal(cut(numbered(6, 16), source), expected)


def test_an_empty_pool_passes_everything():
    assert numbers(gan.Pool(0, 1, (2, 2))(numbered(3, 5), None)) == [3, 4]


def test_a_pool_draws_the_same_whatever_rows_are_asked_for_together():
    def stream(rows: slice) -> list[seeds.Stream]:
        return [seeds.Stream(torch.Generator().manual_seed(1), 8, rows)]

    whole, parts = gan.Pool(2, 1, (2, 2)), gan.Pool(2, 1, (2, 2))
    at_once = whole(numbered(0, 8), stream(slice(0, 8)))
    in_two = [parts(numbered(0, 4), stream(slice(0, 4))), parts(numbered(4, 8), stream(slice(4, 8)))]
    assert torch.equal(torch.cat(in_two), at_once)


def test_weights_of_vgg19_that_are_missing_or_others_are_refused(tmp_path):
    distance, picture = gan.Vgg19(tmp_path / "vgg19.pth"), torch.rand(1, 3, 16, 16)
    with pytest.raises(SemFlowError, match="there are no weights of VGG19 at"):
        distance(picture, picture)
    (tmp_path / "vgg19.pth").write_bytes(b"other")
    with pytest.raises(SemFlowError, match="SHA-256 does not begin with dcbb9e9d"):
        distance(picture, picture)


def test_shapes_alone_need_no_weights_of_vgg19(tmp_path):
    picture = torch.rand(1, 3, 16, 16, device="meta")
    assert gan.Vgg19(tmp_path / "vgg19.pth")(picture, picture).shape == ()


@pytest.mark.parametrize("settings", [(2, 2, 2), (2, 1, 1), (3, 1, 1), (3, 2, 2), (1, 1, 2)])
def test_pictures_that_are_too_small_for_a_discriminators_norms_are_refused_and_no_others(settings):
    layers, padding, scales = settings
    network = gan.Discriminator(3, 2, layers, padding, "instance", scales)
    fits = []
    for side in range(2, 40):
        try:
            gan.check_side("layers", side, *settings)
        except SemFlowError:
            continue
        fits.append(side)
        network(torch.rand(1, 3, side, side))
    assert fits == [*range(min(fits), 40)]
    with pytest.raises((ValueError, RuntimeError), match="spatial element|Kernel size"):
        network(torch.rand(1, 3, min(fits) - 1, min(fits) - 1))


def test_the_distance_by_vgg19_is_the_weighted_sum_of_five_layers(tmp_path, monkeypatch):
    from torchvision.models import vgg19

    torch.manual_seed(0)
    network = vgg19()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    monkeypatch.setattr(gan.files, "file_hash", lambda path: gan.VGG19)
    fake, real = torch.rand(1, 3, 32, 32, requires_grad=True), torch.rand(1, 3, 32, 32)
    loss = gan.Vgg19(tmp_path / "w.pth")(fake, real)
    expected, ends = 0.0, {2: 1 / 32, 7: 1 / 16, 12: 1 / 8, 21: 1 / 4, 30: 1}
    for end, weight in ends.items():
        expected += weight * (network.features[:end](fake) - network.features[:end](real)).abs().mean()
    torch.testing.assert_close(loss, expected)
    assert torch.autograd.grad(loss, fake)[0].abs().sum() > 0
