"""FID's, KID's, precision's and recall's formulas on features that are there already, by torch-fidelity."""

from typing import NamedTuple

import numpy as np
import torch_fidelity
from torch import Tensor
from torch.utils.data import Dataset

NAME = "features that are there already"
NEIGHBOURS = 3  # of precision and recall, as Kynkaanniemi et al. (2019) have it


class SetScores(NamedTuple):
    """Drawn pictures against real ones: distances (lower is better), shares in [0, 1] (higher is better; None of too few)."""

    frechet: float
    mmd2: float
    precision: float | None
    recall: float | None


def compare_sets(drawn: np.ndarray, real: np.ndarray, subset_size: int) -> SetScores:
    """FID's, KID's, precision's and recall's formulas on features (n, d) and (m, d), by torch_fidelity.calculate_metrics.

    subset_size: of KID's subsets, at most n and m. Where it is both, all 100 subsets are the whole, and one will do.
    Precision and recall need more than `NEIGHBOURS` pictures.
    """
    neighbours = min(len(drawn), len(real)) > NEIGHBOURS
    scores = torch_fidelity.calculate_metrics(
        input1=_Rows(drawn), input2=_Rows(real), fid=True, kid=True, prc=neighbours, feature_extractor=NAME,
        kid_subset_size=subset_size, kid_subsets=1 if subset_size == len(drawn) == len(real) else 100,
        prc_neighborhood=NEIGHBOURS, cuda=False, cache=False, save_cpu_ram=True, verbose=False,
    )  # fmt: skip
    return SetScores(
        scores[torch_fidelity.KEY_METRIC_FID],
        scores[torch_fidelity.KEY_METRIC_KID_MEAN],
        scores.get(torch_fidelity.KEY_METRIC_PRECISION),
        scores.get(torch_fidelity.KEY_METRIC_RECALL),
    )


class _Rows(Dataset):
    """Features as torch-fidelity takes pictures: one tensor an item."""

    def __init__(self, features: np.ndarray) -> None:
        self.features = Tensor(features)

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> Tensor:
        return self.features[index]


class _Given(torch_fidelity.FeatureExtractorBase):
    """Hands its input on."""

    def __init__(self, name: str, features_list: list[str], **options: object) -> None:
        super().__init__(name, features_list)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return ("given",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "given"

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    def forward(self, features: Tensor) -> tuple[Tensor]:
        return (features,)


torch_fidelity.register_feature_extractor(NAME, _Given)
