"""BBDM's released weights: its published UNet written out, by the names of its layers, against ours with those weights."""

import math
import re

import pytest
import torch
from sizes_bbdm import PAPER
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv1d, conv2d, group_norm, interpolate, linear, silu

from baselines.bbdm import ResidualUNet
from baselines.bbdm.released import convert
from baselines.bbdm.unet import make_unet
from semflow.errors import SemFlowError
from semflow.method.autoencoder import Autoencoder

GROUPS, LAYERS, HEAD = 32, 2, 64


def block_shapes(name: str, inputs: int, outputs: int, time: int) -> dict[str, tuple[int, ...]]:
    layers = {
        "in_layers.0": (inputs,),
        "in_layers.2": (outputs, inputs, 3, 3),
        "emb_layers.1": (2 * outputs, time),
        "out_layers.0": (outputs,),
        "out_layers.3": (outputs, outputs, 3, 3),
    } | ({"skip_connection": (outputs, inputs, 1, 1)} if inputs != outputs else {})
    return {f"{name}.{layer}": shape for layer, shape in layers.items()}


def published_shapes(widths: list[int]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all weights, by the rule that builds the network: down, middle, up with what was kept on the way."""
    first, last, time = widths[0], widths[-1], 4 * widths[0]
    layers = {"time_embed.0": (time, first), "time_embed.2": (time, time), "input_blocks.0.0": (first, 3, 3, 3)}
    kept, width = [first], first
    for level, outputs in enumerate(widths):
        for resized in [False] * LAYERS + [True] * (level < len(widths) - 1):
            outputs = width if resized else outputs
            layers |= block_shapes(f"input_blocks.{len(kept)}.0", width, outputs, time)
            kept.append(width := outputs)
    layers |= block_shapes("middle_block.0", last, last, time) | block_shapes("middle_block.2", last, last, time)
    layers |= {
        "middle_block.1.norm": (last,),
        "middle_block.1.qkv": (3 * last, last, 1),
        "middle_block.1.proj_out": (last, last, 1),
    }
    for number in range((LAYERS + 1) * len(widths)):
        level, block = divmod(number, LAYERS + 1)
        outputs = widths[::-1][level]
        layers |= block_shapes(f"output_blocks.{number}.0", width + kept.pop(), outputs, time)
        if block == LAYERS and level < len(widths) - 1:
            layers |= block_shapes(f"output_blocks.{number}.1", outputs, outputs, time)
        width = outputs
    layers |= {"out.0": (first,), "out.2": (3, first, 3, 3)}
    return {f"denoise_fn.{name}.{kind}": shape if kind == "weight" else shape[:1]
            for name, shape in layers.items() for kind in ("weight", "bias")}  # fmt: skip


class Published:
    """The network's forward pass from its weights alone."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = {name.removeprefix("denoise_fn."): value for name, value in state.items()}
        self.blocks = sum(re.fullmatch(r"output_blocks\.\d+\.0\.in_layers\.0\.bias", name) is not None for name in self.state)

    def of(self, name: str) -> tuple[Tensor, Tensor]:
        return self.state[f"{name}.weight"], self.state[f"{name}.bias"]

    def block(self, name: str, x: Tensor, time: Tensor, resize=lambda x: x) -> Tensor:
        h = resize(silu(group_norm(x, GROUPS, *self.of(f"{name}.in_layers.0"))))
        h, x = conv2d(h, *self.of(f"{name}.in_layers.2"), padding=1), resize(x)
        scale, shift = linear(silu(time), *self.of(f"{name}.emb_layers.1"))[..., None, None].chunk(2, 1)
        h = silu(group_norm(h, GROUPS, *self.of(f"{name}.out_layers.0")) * (1 + scale) + shift)
        skip = conv2d(x, *self.of(f"{name}.skip_connection")) if f"{name}.skip_connection.bias" in self.state else x
        return skip + conv2d(h, *self.of(f"{name}.out_layers.3"), padding=1)

    def attention(self, x: Tensor) -> Tensor:
        """Head by head: of each, its queries, keys and values follow one another."""
        flat = x.flatten(2)
        rows = conv1d(group_norm(flat, GROUPS, *self.of("middle_block.1.norm")), *self.of("middle_block.1.qkv"))
        heads = []
        for part in rows.split(3 * HEAD, 1):
            q, k, v = part.split(HEAD, 1)
            weights = (q.transpose(1, 2) @ k / math.sqrt(HEAD)).softmax(-1)
            heads.append(v @ weights.transpose(1, 2))
        return x + conv1d(torch.cat(heads, 1), *self.of("middle_block.1.proj_out")).view(x.shape)

    def time(self, t: Tensor) -> Tensor:
        half = self.state["time_embed.0.weight"].shape[1] // 2
        angles = t[:, None] * torch.exp(-math.log(10000) * torch.arange(half) / half)
        waves = torch.cat([angles.cos(), angles.sin()], 1)
        return linear(silu(linear(waves, *self.of("time_embed.0"))), *self.of("time_embed.2"))

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        time, h = self.time(t), conv2d(x, *self.of("input_blocks.0.0"), padding=1)
        kept = [h]
        for number in range(1, self.blocks):
            resize = (lambda x: avg_pool2d(x, 2)) if number % (LAYERS + 1) == 0 else (lambda x: x)
            kept.append(h := self.block(f"input_blocks.{number}.0", h, time, resize))
        h = self.block("middle_block.2", self.attention(self.block("middle_block.0", h, time)), time)
        for number in range(self.blocks):
            h = self.block(f"output_blocks.{number}.0", torch.cat([h, kept.pop()], 1), time)
            if f"output_blocks.{number}.1.in_layers.0.bias" in self.state:
                h = self.block(f"output_blocks.{number}.1", h, time, lambda x: interpolate(x, scale_factor=2))
        return conv2d(silu(group_norm(h, GROUPS, *self.of("out.0"))), *self.of("out.2"), padding=1)


def unet_of(widths: list[int], side: int):
    return make_unet(ResidualUNet.model_validate(PAPER["network"] | {"block_out_channels": widths}), Autoencoder(), (side, side))


def test_names_and_shapes_of_the_papers_size_fall_on_all_of_ours_one_to_one():
    widths = PAPER["network"]["block_out_channels"]
    with torch.device("meta"):
        theirs = {name: torch.empty(shape) for name, shape in published_shapes(widths).items()}
        ours = unet_of(widths, 64).stored.state_dict()
    assert sum(value.numel() for value in theirs.values()) == 237_091_331
    placed = convert(theirs)
    assert set(placed) == {"unet"}
    assert {name: value.shape for name, value in placed["unet"].items()} == {name: value.shape for name, value in ours.items()}


def test_with_the_same_weights_our_network_computes_what_theirs_does():
    widths = [32, 64, 128]
    theirs = {name: torch.randn(shape) / math.sqrt(math.prod(shape[1:])) for name, shape in published_shapes(widths).items()}
    ours = unet_of(widths, 16)
    ours.stored.load_state_dict(convert(theirs)["unet"])
    x, t = torch.randn(2, 3, 16, 16), torch.tensor([999, 3])
    with torch.no_grad():
        torch.testing.assert_close(ours(x, t), Published(theirs)(x, t), rtol=1e-4, atol=1e-4)


def test_what_sampling_does_not_need_is_left_out():
    unneeded = ("vqgan.encoder.conv_in.bias", "vqgan.quantize.embedding.weight", "m_t", "variance_t_tminus")
    state = {name: torch.zeros(3) for name in (*unneeded, "denoise_fn.out.2.bias")}
    assert set(convert(state)["unet"]) == {"conv_out.bias"}


@pytest.mark.parametrize(
    "name", ["cond_stage_model.mapper.weight", "denoise_fn.input_blocks.4.1.qkw.bias", "denoise_fn.id_predictor.0.bias"]
)
def test_what_belongs_nowhere_is_named(name):
    with pytest.raises(SemFlowError, match=f"no place for {name}"):
        convert({name: torch.zeros(3)})
