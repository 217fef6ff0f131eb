"""Label maps in their data set's own colours."""

import torch
from torch import Tensor, nn

from semflow.data import DATASETS, IGNORE_INDEX
from semflow.errors import SemFlowError
from semflow.method.pseudo_mask import WHITE


class Palette(nn.Module):
    """Ignored pixels are white, as in pseudo masks. SemFlowError if the data set has other than `n_classes` classes."""

    table: Tensor

    def __init__(self, name: str, n_classes: int) -> None:
        super().__init__()
        palette = torch.tensor(DATASETS[name].palette, dtype=torch.float32)
        if len(palette) != n_classes:
            raise SemFlowError(
                f"methods.bbdm.palette: {name} has {len(palette)} colours, but there are {n_classes} classes; name the suite's "
                "own data set, or leave it out"
            )
        table = torch.full((IGNORE_INDEX + 1, 3), torch.nan)
        table[:n_classes], table[IGNORE_INDEX] = palette, WHITE
        self.register_buffer("table", table / 127.5 - 1, persistent=False)

    def encode(self, labels: Tensor) -> Tensor:
        """Labels uint8 (B, H, W) to float32 (B, 3, H, W) in [-1, 1]; one outside the classes becomes NaN, which training reports.

        SemFlowError if they were painted as pseudo masks already.
        """
        if labels.ndim == 4:
            raise SemFlowError("methods.bbdm.palette: data.masks is rgb, which paints pseudo masks; set it to labels")
        return self.table[labels.long()].movedim(-1, -3)
