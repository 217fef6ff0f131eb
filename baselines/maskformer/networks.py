"""MaskFormer's two networks: a ResNet backbone, and a head of pixel decoder, transformer decoder and predictions."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from transformers import ResNetBackbone, ResNetConfig, ResNetForImageClassification
from transformers.models.maskformer import modeling_maskformer as parts
from transformers.models.resnet.modeling_resnet import ResNetConvLayer

from semflow.method.network import Network
from semflow.method.pretrained import Pretrained

PART = "backbone"  # of a pretrained folder, where it is not the folder itself
STAGES = ["stage1", "stage2", "stage3", "stage4"]


class Backbone(Network):
    """ResNet (He et al., 2016): pixels (B, 3, H, W) to the features of four stages, each at half the size of the one before.

    Batch norms keep no count of batches, which nothing reads.
    """

    def __init__(self, settings: Any) -> None:
        super().__init__()
        self.shape, self.frozen = shape_of(settings), settings.frozen_batch_norm
        self.config = self.shape | {name: getattr(settings, name) for name in ("stem_kernel", "stem_stride", "stem_pooling")}
        self.resnet = ResNetBackbone(ResNetConfig(**self.shape, out_features=STAGES))
        stem = self.resnet.embedder
        if (settings.stem_kernel, settings.stem_stride) != (7, 2):
            stem.embedder = ResNetConvLayer(3, settings.stem_channels, settings.stem_kernel, settings.stem_stride)
            nn.init.kaiming_normal_(stem.embedder.convolution.weight, mode="fan_out", nonlinearity="relu")
        if not settings.stem_pooling:
            stem.pooler = nn.Identity()
        self.resnet.register_state_dict_post_hook(_without_counts)
        for norm in self.norms() if self.frozen else ():
            for weight in norm.parameters():  # without a gradient the optimizer passes it over
                weight.register_post_accumulate_grad_hook(_drop_gradient)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return self.resnet(pixels).feature_maps

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        for norm in self.norms() if self.frozen else ():
            norm.eval()
        return self

    def norms(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]

    @property
    def stored(self) -> nn.Module:
        return self.resnet

    def begin_with(self, name: str) -> None:
        """Take over pretrained weights. SemFlowError if they are not there, or of another ResNet."""
        weights = Pretrained("methods.maskformer.pretrained", name, (PART,), "a transformers folder of a ResNet")
        weights.check(PART, self.shape, ResNetConfig().to_dict() | weights.config(PART))
        self.stored.load_state_dict(weights.load(PART, ResNetForImageClassification).resnet.state_dict())


class Head(Network):
    """Features of the four stages to predictions of every query after every layer of the transformer decoder.

    classes (L, B, queries, n_classes + 1): logits, the last of no object.  masks (L, B, queries, h, w): logits, at the size of
    the first stage.
    """

    def __init__(self, n_classes: int, settings: Any) -> None:
        super().__init__()
        width, channels = settings.width, settings.channels
        self.config = {"n_classes": n_classes, "width": width, "channels": list(channels), "queries": settings.queries}
        self.config |= {name: getattr(settings, name) for name in ("layers", "heads", "hidden", "dropout")}
        self.pixel_decoder = parts.MaskFormerPixelDecoder(
            in_features=channels[-1], lateral_widths=list(channels[:-1]), feature_size=width, mask_feature_size=width
        )
        self.position = parts.MaskFormerSinePositionEmbedding(width // 2, normalize=True)
        self.input_projection = nn.Conv2d(channels[-1], width, 1)
        self.query_embed = nn.Embedding(settings.queries, width)
        shape = width, settings.heads, settings.hidden, settings.dropout
        self.layers = nn.ModuleList([DecoderLayer(*shape) for _ in range(settings.layers)])
        self.norm = nn.LayerNorm(width)
        self.class_embed = nn.Linear(width, n_classes + 1)
        self.mask_embed = parts.MaskformerMLPPredictionHead(width, width, width)
        self._draw_weights()

    def _draw_weights(self) -> None:
        """As the paper's code begins: convolutions as in Caffe2's Xavier filling, the decoder's matrices as Glorot's, else
        PyTorch's own."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for weight in self.layers.parameters():
            if weight.ndim > 1:
                nn.init.xavier_uniform_(weight)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        pixels = self.pixel_decoder(list(features)).last_hidden_state
        memory = self.input_projection(features[-1])
        position = self.position(memory.shape, memory.device, memory.dtype).flatten(2).mT
        memory, queries = memory.flatten(2).mT, self.query_embed.weight.expand(len(memory), -1, -1)
        x, states = torch.zeros_like(queries), []
        for layer in self.layers:
            x = layer(x, queries, memory, position)
            states.append(self.norm(x))
        x = torch.stack(states)
        return self.class_embed(x), torch.einsum("lbqc,bchw->lbqhw", self.mask_embed(x), pixels)


class DecoderLayer(nn.Module):
    """DETR's (Carion et al., 2020): self-attention of the queries, cross-attention to the picture, feed-forward; post-norm.

    x, queries (B, Q, C): states of the queries, and their learned embeddings.  memory, position (B, h w, C): features of the
    picture, and their position embedding.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.cross_attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(3)])
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, queries: Tensor, memory: Tensor, position: Tensor) -> Tensor:
        q = x + queries
        x = self.norms[0](x + self.drop(self.self_attention(q, q, x, need_weights=False)[0]))
        x = self.norms[1](x + self.drop(self.cross_attention(x + queries, memory + position, memory, need_weights=False)[0]))
        return self.norms[2](x + self.drop(self.linear2(self.drop(relu(self.linear1(x))))))


def shape_of(settings: Any) -> dict[str, Any]:
    """What transformers' ResNet is built with."""
    return {
        "embedding_size": settings.stem_channels,
        "hidden_sizes": list(settings.channels),
        "depths": list(settings.blocks),
        "layer_type": settings.block,
        "downsample_in_first_stage": False,
        "downsample_in_bottleneck": False,
    }


def _without_counts(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for name in [name for name in state if name.startswith(prefix) and name.endswith("num_batches_tracked")]:
        del state[name]


def _drop_gradient(weight: Tensor) -> None:
    weight.grad = None
