"""The loss of one decoder layer: queries are matched with the classes of a picture, one to one (Cheng et al., 2021, Sec. 3.3).

Shapes: classes (B, Q, n_classes + 1) logits, the last of no object; masks (B, Q, h, w) logits; labels uint8 (B, H, W). The target
of a class that a picture has is the mask of its pixels; ignored pixels are in no mask, as in the paper's code.
"""

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, distributed
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, interpolate, softplus

ALPHA, GAMMA = 0.25, 2.0  # of the focal loss
MASK = 20.0  # weight of the focal loss, in the matching too; of the others: 1
NO_OBJECT = 0.1  # weight of queries that are matched with no class
Matches = tuple[Tensor, Tensor, Tensor]  # numbers (M,) of pictures, queries and classes that belong together


def losses(classes: Tensor, masks: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Weighted losses by name, means over the masks (class: the queries) of a batch, whatever processes share it."""
    present = classes_of(labels, classes.shape[2] - 1)
    pictures, queries, found = match(cost(classes, masks, labels), present)
    wanted = torch.full(classes.shape[:2], classes.shape[2] - 1, device=classes.device)
    wanted[pictures, queries] = found
    weight = torch.where(wanted == classes.shape[2] - 1, NO_OBJECT, 1.0)
    entropy = cross_entropy(classes.mT, wanted, reduction="none")
    predicted = interpolate(masks[pictures, queries][:, None], labels.shape[1:], mode="bilinear").flatten(1)
    target = (labels[pictures] == found.view(-1, 1, 1)).flatten(1).float()
    n_masks = shared(present.sum().float()).clamp(min=1)
    return {
        "class": (weight * entropy).sum() / shared(weight.sum()),
        "mask": MASK * focal(predicted, target).sum() / n_masks,
        "dice": dice(predicted, target).sum() / n_masks,
    }


def classes_of(labels: Tensor, n_classes: int) -> Tensor:
    """Which classes a picture has, bool (B, n_classes)."""
    return torch.zeros(len(labels), 256, device=labels.device).scatter_(1, labels.flatten(1).long(), 1.0)[:, :n_classes] > 0


def match(costs: Tensor, present: Tensor) -> Matches:
    """One query for each class that is present, at the least total cost, a picture at a time (Kuhn, 1955).

    costs (B, Q, n_classes), present bool (B, n_classes). Where classes outnumber queries, some are left out. On the meta device,
    where nothing has a value, each picture has one class.
    """
    if costs.is_meta:
        return torch.arange(len(costs), device="meta"), *torch.zeros(2, len(costs), dtype=torch.long, device="meta")
    found = []
    for picture, (cost, has) in enumerate(zip(np.nan_to_num(costs.cpu().numpy()), present.cpu().numpy(), strict=True)):
        (columns,) = has.nonzero()
        queries, chosen = linear_sum_assignment(cost[:, columns])
        found.append(np.stack([np.full(len(queries), picture), queries, columns[chosen]]))
    pictures, queries, classes = torch.from_numpy(np.concatenate(found, 1)).to(costs.device)
    return pictures, queries, classes


@torch.no_grad()
def cost(classes: Tensor, masks: Tensor, labels: Tensor) -> Tensor:
    """Cost of matching a query with a class, (B, Q, n_classes): focal and Dice loss of its mask, at the mask's size, less the
    probability of the class."""
    small = interpolate(labels[:, None].float(), masks.shape[2:], mode="nearest").flatten(2)
    targets = (small == torch.arange(classes.shape[2] - 1, device=labels.device)[:, None]).float().mT  # (B, h w, n_classes)
    x = masks.float().flatten(2)
    p = x.sigmoid()
    inside, outside = ALPHA * (1 - p) ** GAMMA * softplus(-x), (1 - ALPHA) * p**GAMMA * softplus(x)
    of_masks = ((inside - outside) @ targets + outside.sum(2, keepdim=True)) / x.shape[2]
    of_overlap = 1 - (2 * p @ targets + 1) / (p.sum(2, keepdim=True) + targets.sum(1, keepdim=True) + 1)
    return MASK * of_masks + of_overlap - classes.float().softmax(2)[..., :-1]


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """Focal loss (Lin et al., 2017) of masks (M, pixels), averaged over pixels: (M,). target: 0 or 1."""
    p = logits.sigmoid()
    wrong = torch.where(target > 0, 1 - p, p)  # 1 - p_t
    entropy = binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (torch.where(target > 0, ALPHA, 1 - ALPHA) * wrong**GAMMA * entropy).mean(1)


def dice(logits: Tensor, target: Tensor) -> Tensor:
    """Dice loss (Milletari et al., 2016) of masks (M, pixels), smoothed by 1: (M,). target: 0 or 1."""
    p = logits.sigmoid()
    return 1 - (2 * (p * target).sum(1) + 1) / (p.sum(1) + target.sum(1) + 1)


def shared(number: Tensor) -> Tensor:
    """The mean over all processes that share a batch, without gradient."""
    if distributed.is_available() and distributed.is_initialized():
        number = number.detach().clone()
        distributed.all_reduce(number)
        return number / distributed.get_world_size()
    return number.detach()
