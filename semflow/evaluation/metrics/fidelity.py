"""FID's and KID's formulas on features that are there already, by torch-fidelity."""

import numpy as np
import torch_fidelity
from torch import Tensor
from torch.utils.data import Dataset

NAME = "features that are there already"


def fid_and_kid(x: np.ndarray, y: np.ndarray, subset_size: int) -> tuple[float, float]:
    """(Frechet, mean kernel) distance between features (n, d) and (m, d), by torch_fidelity.calculate_metrics.

    subset_size: of KID's subsets, at most n and m. Where it is both, all 100 subsets are the whole, and one will do.
    """
    scores = torch_fidelity.calculate_metrics(
        input1=_Rows(x), input2=_Rows(y), fid=True, kid=True, feature_extractor=NAME,
        kid_subset_size=subset_size, kid_subsets=1 if subset_size == len(x) == len(y) else 100,
        cuda=False, cache=False, save_cpu_ram=True, verbose=False,
    )  # fmt: skip
    return scores[torch_fidelity.KEY_METRIC_FID], scores[torch_fidelity.KEY_METRIC_KID_MEAN]


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
