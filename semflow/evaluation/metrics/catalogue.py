"""Every metric by name: its title, unit, which way is better, and how its interval is made. Imports no torch."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

Unit = Literal["percent", "none", "grey levels", "squared grey levels", "squared latent units", "octaves"]
Direction = Literal["higher", "lower", "neither"]


class Kind(NamedTuple):
    """resampled: whether bootstrap draws are centred on the value, so that their quantiles are its interval.

    Distances between sets are not: repeated images lift every draw above the value. There only the draws' spread counts.
    """

    title: str
    unit: Unit
    direction: Direction
    digits: int
    resampled: bool = True


PROXY = "EfficientNet-Lite0"
ENOUGH_FOR_FRECHET = 2048  # images; below it the Fréchet distance is much biased and no interval covers it, MMD² is not
KINDS = {
    "miou": Kind("mIoU", "percent", "higher", 1),
    "miou_either": Kind("mIoU over classes in truth or prediction", "percent", "higher", 1),
    "miou_native": Kind("mIoU at the labels' own size", "percent", "higher", 1),
    "pixel_accuracy": Kind("pixel accuracy", "percent", "higher", 1),
    "seed_agreement": Kind("pixels alike under two seeds", "percent", "neither", 1),
    "fid": Kind("FID", "none", "lower", 1, resampled=False),
    "frechet_efficientnet_lite0": Kind(f"Fréchet distance ({PROXY})", "none", "lower", 2, resampled=False),
    "kid": Kind("KID", "none", "lower", 4, resampled=False),
    "mmd2_efficientnet_lite0": Kind(f"MMD² ({PROXY})", "none", "lower", 4, resampled=False),
    "precision_inception_v3": Kind("precision (Inception-v3)", "percent", "higher", 1),
    "precision_efficientnet_lite0": Kind(f"precision ({PROXY})", "percent", "higher", 1),
    "recall_inception_v3": Kind("recall (Inception-v3)", "percent", "higher", 1),
    "recall_efficientnet_lite0": Kind(f"recall ({PROXY})", "percent", "higher", 1),
    "lpips": Kind("LPIPS", "none", "lower", 3),
    "perceptual_efficientnet_lite0": Kind(f"perceptual distance ({PROXY})", "none", "lower", 3),
    "diversity_lpips": Kind("diversity (LPIPS)", "none", "higher", 3),
    "diversity_efficientnet_lite0": Kind(f"diversity ({PROXY})", "none", "higher", 3),
    "consistency_miou": Kind("consistency mIoU (judge)", "percent", "higher", 1),
    "consistency_miou_second": Kind("consistency mIoU (second judge)", "percent", "higher", 1),
    "round_trip_miou": Kind("round-trip mIoU", "percent", "neither", 1),
    "brightness": Kind("brightness", "grey levels", "neither", 1),
    "clipped": Kind("clipped pixels", "percent", "neither", 2),
    "detail": Kind("detail inside regions", "squared grey levels", "neither", 1),
    "detail_gap": Kind("detail's distance from real images'", "octaves", "lower", 2),
    "path_length_excess": Kind("path-length excess", "percent", "neither", 1),
    "label_recovery": Kind("label recovery", "percent", "higher", 2),
    "discriminator_lead": Kind("discriminator's lead over chance, of pictures", "percent", "neither", 1),
    "discriminator_lead_masks": Kind("discriminator's lead over chance, of masks", "percent", "neither", 1),
    "own_mask_gain": Kind("error at the last time less with the own mask than with another's", "percent", "higher", 1),
    "cycle_images": Kind("distance of images after a cycle (L1)", "none", "lower", 3),
    "cycle_masks": Kind("distance of masks after a cycle (L1)", "none", "lower", 3),
    "straightness": Kind("straightness", "squared latent units", "neither", 4),
}
# What a suite measures through its own choice of network.
ROLES = {
    "frechet": ("fid", "frechet_efficientnet_lite0"),
    "mmd2": ("kid", "mmd2_efficientnet_lite0"),
    "precision": ("precision_inception_v3", "precision_efficientnet_lite0"),
    "recall": ("recall_inception_v3", "recall_efficientnet_lite0"),
    "perceptual": ("lpips", "perceptual_efficientnet_lite0"),
    "diversity": ("diversity_lpips", "diversity_efficientnet_lite0"),
}


def named(role: str, network: str) -> str:
    """The metric in a role, measured through the network `inception-v3`, `alexnet` or `efficientnet-lite0`."""
    return ROLES[role][network == "efficientnet-lite0"]


def filling(role: str, metrics: Mapping[str, object]) -> str:
    """Which of a record's metrics has this role; a metric that is no role is its own."""
    return next((name for name in ROLES.get(role, ()) if name in metrics), role)
