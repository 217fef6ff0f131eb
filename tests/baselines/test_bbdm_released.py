"""BBDM's released weights: its UNet and its autoencoder written out by the names of their layers, against ours with the same."""

import math
import re

import pytest
import torch
from sizes import papers
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv1d, conv2d, group_norm, interpolate, linear, pad, silu

from baselines.bbdm import VQ as VQSettings
from baselines.bbdm import ResidualUNet
from baselines.bbdm.released import autoencoder, convert
from baselines.bbdm.unet import make_unet
from baselines.bbdm.vq import VQ
from semflow.errors import SemFlowError
from semflow.method.autoencoder import Autoencoder

PAPER = papers("bbdm")

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


def vq_block_shapes(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    layers = {"norm1": (inputs,), "conv1": (outputs, inputs, 3, 3), "norm2": (outputs,), "conv2": (outputs, outputs, 3, 3)}
    layers |= {"nin_shortcut": (outputs, inputs, 1, 1)} if inputs != outputs else {}
    return {f"{name}.{layer}": shape for layer, shape in layers.items()}


def vq_middle_shapes(name: str, width: int) -> dict[str, tuple[int, ...]]:
    attention = {"norm": (width,), **dict.fromkeys(("q", "k", "v", "proj_out"), (width, width, 1, 1))}
    blocks = vq_block_shapes(f"{name}.block_1", width, width) | vq_block_shapes(f"{name}.block_2", width, width)
    return blocks | {f"{name}.attn_1.{layer}": shape for layer, shape in attention.items()}


def published_vq_shapes(widths: list[int], codes: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all weights of the autoencoder, by the rule that builds it."""
    first, last, coarsest = widths[0], widths[-1], len(widths) - 1
    layers = {"encoder.conv_in": (first, 3, 3, 3), "encoder.norm_out": (last,), "encoder.conv_out": (3, last, 3, 3)}
    layers |= {"decoder.conv_in": (last, 3, 3, 3), "decoder.norm_out": (first,), "decoder.conv_out": (3, first, 3, 3)}
    layers |= vq_middle_shapes("encoder.mid", last) | vq_middle_shapes("decoder.mid", last)
    layers |= {"quant_conv": (3, 3, 1, 1), "post_quant_conv": (3, 3, 1, 1)}
    for level, width in enumerate(widths):
        finer, coarser = widths[max(level - 1, 0)], widths[min(level + 1, coarsest)]
        for block in range(LAYERS):
            layers |= vq_block_shapes(f"encoder.down.{level}.block.{block}", width if block else finer, width)
        for block in range(LAYERS + 1):
            layers |= vq_block_shapes(f"decoder.up.{level}.block.{block}", width if block else coarser, width)
        layers |= {f"encoder.down.{level}.downsample.conv": (width, width, 3, 3)} if level < coarsest else {}
        layers |= {f"decoder.up.{level}.upsample.conv": (width, width, 3, 3)} if level else {}
    both = {f"vqgan.{name}.{kind}": shape if kind == "weight" else shape[:1]
            for name, shape in layers.items() for kind in ("weight", "bias")}  # fmt: skip
    return both | {"vqgan.quantize.embedding.weight": (codes, 3)}


class PublishedVQ:
    """The autoencoder's two ways from its weights alone."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = {name.removeprefix("vqgan."): value for name, value in state.items()}

    def of(self, name: str) -> tuple[Tensor, Tensor]:
        return self.state[f"{name}.weight"], self.state[f"{name}.bias"]

    def normed(self, name: str, x: Tensor) -> Tensor:
        return group_norm(x, GROUPS, *self.of(name), eps=1e-6)

    def block(self, name: str, x: Tensor) -> Tensor:
        h = conv2d(silu(self.normed(f"{name}.norm1", x)), *self.of(f"{name}.conv1"), padding=1)
        h = conv2d(silu(self.normed(f"{name}.norm2", h)), *self.of(f"{name}.conv2"), padding=1)
        return h + (conv2d(x, *self.of(f"{name}.nin_shortcut")) if f"{name}.nin_shortcut.bias" in self.state else x)

    def middle(self, name: str, x: Tensor) -> Tensor:
        x = self.block(f"{name}.block_1", x)
        h = self.normed(f"{name}.attn_1.norm", x)
        q, k, v = (conv2d(h, *self.of(f"{name}.attn_1.{part}")).flatten(2) for part in "qkv")
        weights = (q.transpose(1, 2) @ k / math.sqrt(x.shape[1])).softmax(-1)
        h = (v @ weights.transpose(1, 2)).view(x.shape)
        return self.block(f"{name}.block_2", x + conv2d(h, *self.of(f"{name}.attn_1.proj_out")))

    def end(self, name: str, x: Tensor) -> Tensor:
        return conv2d(silu(self.normed(f"{name}.norm_out", x)), *self.of(f"{name}.conv_out"), padding=1)

    def encode(self, x: Tensor) -> Tensor:
        h = conv2d(x, *self.of("encoder.conv_in"), padding=1)
        for level in range(3):
            for block in range(LAYERS):
                h = self.block(f"encoder.down.{level}.block.{block}", h)
            if level < 2:
                h = conv2d(pad(h, (0, 1, 0, 1)), *self.of(f"encoder.down.{level}.downsample.conv"), stride=2)
        return conv2d(self.end("encoder", self.middle("encoder.mid", h)), *self.of("quant_conv"))

    def decode(self, z: Tensor) -> Tensor:
        codes = self.state["quantize.embedding.weight"]
        z = codes[torch.cdist(z.movedim(1, -1).flatten(0, 2), codes).argmin(1)].view(z.movedim(1, -1).shape).movedim(-1, 1)
        h = self.middle("decoder.mid", conv2d(conv2d(z, *self.of("post_quant_conv")), *self.of("decoder.conv_in"), padding=1))
        for level in (2, 1, 0):
            for block in range(LAYERS + 1):
                h = self.block(f"decoder.up.{level}.block.{block}", h)
            if level:
                h = conv2d(interpolate(h, scale_factor=2), *self.of(f"decoder.up.{level}.upsample.conv"), padding=1)
        return self.end("decoder", h)


def vq_of(widths: list[int], codes: int) -> VQ:
    sizes = {"pretrained": None, "block_out_channels": widths, "codes": codes}
    return VQ(VQSettings.model_validate(PAPER["autoencoder"] | sizes))


def test_the_autoencoder_at_the_papers_size_falls_on_all_of_diffusers_one_to_one():
    widths, codes = PAPER["autoencoder"]["block_out_channels"], PAPER["autoencoder"]["codes"]
    with torch.device("meta"):
        theirs = {name: torch.empty(shape) for name, shape in published_vq_shapes(widths, codes).items()}
        ours = vq_of(widths, codes).vq.state_dict()
    placed = {name: value.shape for name, value in autoencoder(theirs | {"denoise_fn.out.0.bias": torch.empty(3)}).items()}
    assert placed == {name: value.shape for name, value in ours.items()}


def test_with_the_same_weights_our_autoencoder_computes_what_theirs_does():
    shapes = published_vq_shapes([32, 64, 128], 50)
    theirs = {name: torch.randn(shape) / math.sqrt(max(1, math.prod(shape[1:]))) for name, shape in shapes.items()}
    ours, published, pixels = vq_of([32, 64, 128], 50), PublishedVQ(theirs), torch.randn(2, 3, 16, 24)
    ours.vq.load_state_dict(autoencoder({name.removeprefix("vqgan."): value for name, value in theirs.items()}))
    with torch.no_grad():
        latents = published.encode(pixels)
        torch.testing.assert_close(ours.encode(pixels), latents, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours.decode(latents), published.decode(latents), rtol=1e-4, atol=1e-4)
