"""Labels to pseudo mask and back, against Eq. 7 and 14 worked by hand and by brute force."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from semflow.method.pseudo_mask import PseudoMask

IGNORED = 255


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def brute_force(pixels: torch.Tensor, n_classes: int, k: int, s: float) -> np.ndarray:
    """The class whose colour, by Eq. 7 as the paper writes it, is nearest; the lowest on a tie."""
    anchors = []
    for c in range(n_classes):
        m0 = c // k**2
        m1 = (c - m0 * k**2) // k
        anchors.append((s * m0, s * m1, s * (c - m0 * k**2 - m1 * k)))
    colours = (pixels.numpy().astype(np.float64) + 1) * 127.5
    distances = ((colours[:, None] - np.array(anchors)[None, :, :, None, None]) ** 2).sum(2)
    return distances.argmin(1)


@st.composite
def codes(draw) -> PseudoMask:
    k = draw(st.integers(1, 7))
    s = draw(st.floats(1, min(255 / max(k - 1, 1) * 0.999, 250)))
    return PseudoMask(draw(st.integers(1, min(k**3, 255))), k, s)


@settings(max_examples=60)
@given(codes(), st.tuples(*[st.integers(1, 5)] * 3), st.floats(0, 0.999), st.integers(0, 2**32))
def test_labels_survive_painting_perturbing_and_reading(code, shape, share, seed):
    labels = torch.randint(code.n_classes, shape, generator=seeded(seed), dtype=torch.uint8)
    perturbed = code.perturb(code.paint(labels), share * code.s / 2, seeded(seed))
    assert torch.equal(code.read(perturbed), labels)


@pytest.mark.parametrize("n_classes", [11, 16, 19, 171])
def test_every_class_survives_the_largest_perturbation(n_classes):
    code = PseudoMask(n_classes, k=6, s=50)
    labels = torch.arange(n_classes, dtype=torch.uint8).expand(1, 200, n_classes)
    assert torch.equal(code.read(code.perturb(code.paint(labels), 24.999, seeded())), labels)


@pytest.mark.parametrize("n_classes", [11, 16, 19, 171])
def test_every_class_survives_at_every_corner_of_the_perturbation(n_classes):
    code = PseudoMask(n_classes, k=6, s=50)
    labels = torch.arange(n_classes, dtype=torch.uint8).expand(8, 1, n_classes)
    corners = torch.cartesian_prod(*[torch.tensor([-24.999, 24.999])] * 3).view(8, 3, 1, 1) / 127.5
    assert torch.equal(code.read(code.paint(labels) + corners), labels)


@settings(max_examples=60)
@given(codes(), st.floats(0.1, 4), st.integers(0, 2**32))
def test_read_equals_brute_force_in_float64(code, spread, seed):
    pixels = spread * (2 * torch.rand(2, 3, 4, 9, generator=seeded(seed)) - 1)
    assert np.array_equal(code.read(pixels).numpy(), brute_force(pixels, code.n_classes, code.k, code.s))


@settings(max_examples=60)
@given(st.integers(1, 216), st.lists(st.floats(-2, 2, width=32), min_size=3, max_size=3))
def test_read_equals_brute_force_on_any_float(n_classes, colour):
    pixel = torch.tensor(colour).view(1, 3, 1, 1)
    assert np.array_equal(PseudoMask(n_classes).read(pixel).numpy(), brute_force(pixel, n_classes, 6, 50))


@pytest.mark.parametrize("s", [50, 42.3])
@pytest.mark.parametrize("n_classes", [171, 216])
def test_read_equals_brute_force_on_the_floats_around_every_border(n_classes, s):
    border = (s * (np.arange(5) + 0.5) / 127.5 - 1).astype(np.float32)
    values = torch.from_numpy(np.concatenate([np.nextafter(border, np.float32(-2)), border, np.nextafter(border, np.float32(2))]))
    pixels = torch.cartesian_prod(values, values, values).T.reshape(1, 3, 75, 45)
    assert np.array_equal(PseudoMask(n_classes, 6, s).read(pixels).numpy(), brute_force(pixels, n_classes, 6, s))


@pytest.mark.parametrize("n_classes", [5, 19, 130, 171, 216])
def test_a_tie_goes_to_the_lowest_class(n_classes):
    # With s = 42.5 the grey values -0.5 and 0.5 lie exactly between two levels: 63.75 = 1.5 s and 191.25 = 4.5 s.
    values = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0])
    pixels = torch.cartesian_prod(values, values, values).T.reshape(1, 3, 25, 5)
    expected = brute_force(pixels, n_classes, 6, 42.5)
    assert np.array_equal(PseudoMask(n_classes, k=6, s=42.5).read(pixels).numpy(), expected)


def test_read_handles_more_pixels_than_it_takes_at_once():
    pixels = 2 * torch.rand(1, 3, 700, 800, generator=seeded()) - 1
    code = PseudoMask(171)
    whole = code.read(pixels)
    pieces = [code.read(pixels[:, :, top : top + 100]) for top in range(0, 700, 100)]
    assert torch.equal(whole, torch.cat(pieces, 1))


@pytest.mark.parametrize(
    ("label", "anchor"),
    [(0, (0, 0, 0)), (5, (0, 0, 250)), (6, (0, 50, 0)), (35, (0, 250, 250)), (36, (50, 0, 0)), (170, (200, 200, 100))],
)
def test_anchors_are_those_of_eq_7(label, anchor):
    code = PseudoMask(171, k=6, s=50)
    assert tuple(code.anchors[label].tolist()) == anchor


def test_paint_gives_the_anchor_scaled_to_the_unit_range():
    painted = PseudoMask(171).paint(torch.tensor([[[170]]], dtype=torch.uint8))
    assert painted.flatten().tolist() == pytest.approx([200 / 127.5 - 1, 200 / 127.5 - 1, 100 / 127.5 - 1], abs=1e-6)


def test_ignored_pixels_are_painted_white():
    painted = PseudoMask(11).paint(torch.tensor([[[IGNORED, 0]]], dtype=torch.uint8))
    assert painted[0, :, 0, 0].tolist() == [1, 1, 1]
    assert painted[0, :, 0, 1].tolist() == [-1, -1, -1]


def test_paint_is_float32_between_minus_one_and_one():
    labels = torch.arange(216, dtype=torch.uint8).view(2, 9, 12)
    painted = PseudoMask(216).paint(labels)
    assert painted.dtype == torch.float32
    assert painted.shape == (2, 3, 9, 12)
    assert painted.min() == -1
    assert painted.max() == pytest.approx(250 / 127.5 - 1)


def test_read_gives_uint8_of_the_picture_s_shape():
    labels = PseudoMask(19).read(torch.zeros(2, 3, 4, 5))
    assert labels.dtype == torch.uint8
    assert labels.shape == (2, 4, 5)


@pytest.mark.parametrize(
    ("n_classes", "k", "s", "reason"),
    [
        (11, 6, 51, "s (k - 1) < 255"),
        (11, 6, 60, "s (k - 1) < 255"),
        (11, 6, 0, "s > 0"),
        (1, 0, 50, "k >= 1"),
        (217, 6, 50, "217 classes"),
        (256, 7, 40, "256 classes"),
        (0, 6, 50, "0 classes"),
    ],
)
def test_an_impossible_code_is_refused(n_classes, k, s, reason):
    with pytest.raises(ValueError, match="k = ") as error:
        PseudoMask(n_classes, k, s)
    assert reason in str(error.value)


@pytest.mark.parametrize("amplitude", [25, 40, -1])
def test_an_amplitude_that_could_change_a_label_is_refused(amplitude):
    code = PseudoMask(11)
    with pytest.raises(ValueError, match=f"amplitude {amplitude} "):
        code.perturb(torch.zeros(1, 3, 2, 2), amplitude, seeded())


@pytest.mark.parametrize("label", [11, 12, 254, 256, -1, -300])
def test_painting_a_label_outside_the_classes_is_refused(label):
    with pytest.raises(ValueError, match=r"neither in 0\.\.10 nor 255"):
        PseudoMask(11).paint(torch.tensor([[[0, label]]]))


def test_perturb_draws_the_same_from_the_same_seed():
    code, mask = PseudoMask(11), torch.zeros(1, 3, 8, 8)
    assert torch.equal(code.perturb(mask, 6, seeded(1)), code.perturb(mask, 6, seeded(1)))
    assert not torch.equal(code.perturb(mask, 6, seeded(1)), code.perturb(mask, 6, seeded(2)))


def test_perturbation_is_uniform_over_pixels_and_channels():
    n, b = 3 * 400 * 400, 6 / 127.5
    noise = PseudoMask(11).perturb(torch.zeros(1, 3, 400, 400), 6, seeded()).double()
    assert noise.abs().max() <= b * (1 + 1e-6)
    assert noise.mean().item() == pytest.approx(0, abs=5 * b / (3 * n) ** 0.5)
    assert noise.var().item() == pytest.approx(b**2 / 3, rel=0.01)
    assert noise.square().mul(noise.square()).mean().item() == pytest.approx(b**4 / 5, rel=0.01)


def test_perturbation_differs_between_channels():
    noise = PseudoMask(11).perturb(torch.zeros(1, 3, 50, 50), 6, seeded())[0].flatten(1)
    assert torch.corrcoef(noise).fill_diagonal_(0).abs().max() < 0.1


def test_no_amplitude_leaves_the_mask_alone():
    mask = torch.rand(1, 3, 4, 4)
    assert torch.equal(PseudoMask(11).perturb(mask, 0, seeded()), mask)


def test_reading_eight_city_masks_with_171_classes_stays_below_500_mb():
    # Through a small process in between: a child's ru_maxrss starts at the size of the process that spawned it.
    measure = textwrap.dedent(
        """
        import resource, sys, torch
        from semflow.method.pseudo_mask import PseudoMask
        torch.set_num_threads(1)
        masks = torch.rand(8, 3, 512, 1024).mul_(2).sub_(1)
        masks[0, 0, :256] = 1  # as if half a picture had no class nearby
        code = PseudoMask(171)
        code.read(masks[:1, :, :8, :8])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        labels = code.read(masks)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert labels.unique().numel() == 171
        print((after - before) * (1 if sys.platform == "darwin" else 1024))
        """
    )
    spawn = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', sys.argv[1]]).returncode)"
    done = subprocess.run([sys.executable, "-c", spawn, measure], capture_output=True, text=True, check=True)
    assert 0 <= int(done.stdout) < 500e6
