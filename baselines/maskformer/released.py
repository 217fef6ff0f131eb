"""Where the released weights of MaskFormer belong in ours."""

import re
from collections.abc import Callable

from semflow.errors import SemFlowError

UNUSED = {"criterion.empty_weight", "pixel_mean", "pixel_std"}  # weights of the loss's classes; constants of the input


def place(name: str) -> tuple[str, str] | None:
    """(network, name in it) of a weight in the state dict of facebookresearch/MaskFormer with a torchvision ResNet.

    Its backbone is detectron2's; its oldest files have no `pixel_decoder.` in names. None for what inference does without: the
    loss's weights, constants of the input, and batch norms' counts of batches. SemFlowError for a name that it does not have,
    such as of a Swin transformer or of a ResNet with DeepLab's stem.
    """
    if name in UNUSED or name.endswith("num_batches_tracked"):
        return None
    for pattern, network, ours in RULES:
        if found := re.fullmatch(pattern, name):
            return network, ours(*found.groups())
    raise SemFlowError(f"{name} is no weight of a MaskFormer with ResNet-50 or 101; get the file of one of these")


def _of_convolution(part: str) -> str:
    return part.replace("norm.", "normalization.") if part.startswith("norm.") else f"convolution.{part}"


def _of_pair(part: str) -> str:
    """In a sequence of a convolution and its norm."""
    return part.replace("norm.", "1.") if part.startswith("norm.") else f"0.{part}"


BLOCK = r"backbone\.res([2-5])\.(\d+)\."
PIXELS = r"sem_seg_head\.(?:pixel_decoder\.)?"
QUERIES = r"sem_seg_head\.predictor\."
LAYER = QUERIES + r"transformer\.decoder\.layers\.(\d+)\."
RULES: tuple[tuple[str, str, Callable[..., str]], ...] = (
    (r"backbone\.stem\.conv1\.(.+)", "backbone", lambda part: f"embedder.embedder.{_of_convolution(part)}"),
    (
        BLOCK + r"conv([1-3])\.(.+)",
        "backbone",
        lambda stage, block, n, part: (
            f"encoder.stages.{int(stage) - 2}.layers.{block}.layer.{int(n) - 1}.{_of_convolution(part)}"
        ),
    ),
    (
        BLOCK + r"shortcut\.(.+)",
        "backbone",
        lambda stage, block, part: f"encoder.stages.{int(stage) - 2}.layers.{block}.shortcut.{_of_convolution(part)}",
    ),
    (PIXELS + r"adapter_([1-3])\.(.+)", "head", lambda n, part: f"pixel_decoder.fpn.layers.{3 - int(n)}.proj.{_of_pair(part)}"),
    (PIXELS + r"layer_([1-3])\.(.+)", "head", lambda n, part: f"pixel_decoder.fpn.layers.{3 - int(n)}.block.{_of_pair(part)}"),
    (PIXELS + r"layer_4\.(.+)", "head", lambda part: f"pixel_decoder.fpn.stem.{_of_pair(part)}"),
    (PIXELS + r"mask_features\.(.+)", "head", lambda part: f"pixel_decoder.mask_projection.{part}"),
    (QUERIES + r"query_embed\.weight", "head", lambda: "query_embed.weight"),
    (QUERIES + r"input_proj\.(.+)", "head", lambda part: f"input_projection.{part}"),
    (QUERIES + r"class_embed\.(.+)", "head", lambda part: f"class_embed.{part}"),
    (QUERIES + r"mask_embed\.layers\.([0-2])\.(.+)", "head", lambda n, part: f"mask_embed.{n}.0.{part}"),
    (QUERIES + r"transformer\.decoder\.norm\.(.+)", "head", lambda part: f"norm.{part}"),
    (LAYER + r"self_attn\.(.+)", "head", lambda layer, part: f"layers.{layer}.self_attention.{part}"),
    (LAYER + r"multihead_attn\.(.+)", "head", lambda layer, part: f"layers.{layer}.cross_attention.{part}"),
    (LAYER + r"linear1\.(.+)", "head", lambda layer, part: f"layers.{layer}.linear1.{part}"),
    (LAYER + r"linear2\.(.+)", "head", lambda layer, part: f"layers.{layer}.linear2.{part}"),
    (LAYER + r"norm([1-3])\.(.+)", "head", lambda layer, n, part: f"layers.{layer}.norms.{int(n) - 1}.{part}"),
)
