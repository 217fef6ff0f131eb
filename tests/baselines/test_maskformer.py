"""MaskFormer against transformers' port, brute force and colour conversions of the standard library."""

import colorsys
import copy
import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from noising import seeded
from pydantic import ValidationError
from safetensors.torch import load_file
from sizes import papers, small
from torch.nn.functional import interpolate, max_pool2d
from transformers import (
    MaskFormerConfig,
    MaskFormerForInstanceSegmentation,
    MaskFormerImageProcessor,
    ResNetConfig,
    ResNetForImageClassification,
)
from transformers.models.maskformer import modeling_maskformer as theirs
from transformers.models.maskformer.configuration_maskformer import MaskFormerDetrConfig

from baselines.maskformer import MaskFormerSettings, augment
from baselines.maskformer import losses as terms
from baselines.maskformer.model import MaskFormer, normalized
from baselines.maskformer.released import place
from semflow.data import open_dataset
from semflow.data.scenes import NAMES, Scenes
from semflow.errors import SemFlowError
from semflow.evaluation.metrics.segmentation import confusion, miou
from semflow.loading.batches import Batch, Batches
from semflow.loading.pixels import to_unit_range
from semflow.method.contract import Blueprint
from semflow.method.samplers import DIRECT
from semflow.seeds import Stream
from semflow.suite import reading as config
from semflow.training import budget
from semflow.training.build import make_model, make_shape
from semflow.training.checkpoints import STATE, open_checkpoint
from semflow.training.loop import Trainer, make_accelerator, train, training_batches

SMALL, PAPER = small("maskformer"), papers("maskformer") | {"pretrained": None}
TINY = SMALL | {
    "stem_channels": 8, "channels": [8, 8, 16, 16], "width": 32, "layers": 2, "hidden": 32, "queries": 20, "colour_jitter": False,
}  # fmt: skip
IMAGENET = {"stem_kernel": 7, "stem_stride": 2, "stem_pooling": True}
N = 16


def settings_of(values: dict[str, Any], **changes: Any) -> MaskFormerSettings:
    return MaskFormerSettings.model_validate(values | changes)


def model_of(values: dict[str, Any], n_classes: int = N, **changes: Any) -> MaskFormer:
    blueprint = Blueprint(n_classes, (32, 32), 0.0, None, None, None)
    return MaskFormer.build(blueprint, settings_of(values, **changes))


def shape_of(values: dict[str, Any], n_classes: int, **changes: Any) -> MaskFormer:
    with torch.device("meta"):
        return model_of(values, n_classes, **changes)


def weights_in(model: MaskFormer) -> int:
    return sum(weight.numel() for weight in model.networks.parameters())


@pytest.fixture
def suite_of(tiny):
    def suite(**changes: Any):
        tiny["methods"]["maskformer"] = TINY | changes
        return config.check(tiny, "tiny")

    return suite


# --- the architecture


@pytest.mark.parametrize(
    ("blocks", "n_classes", "counted"),
    [([3, 4, 6, 3], 150, 41_307_863), ([3, 4, 23, 3], 150, 60_299_991), ([3, 4, 23, 3], 171, 60_305_388)],
)
def test_full_size_counts_are_those_of_the_published_architecture(blocks, n_classes, counted):
    assert weights_in(shape_of(PAPER, n_classes, blocks=blocks)) == counted


def test_the_small_one_is_as_large_as_semflows_network_and_costs_one_and_a_half_of_its_flops_or_a_little_more(mini):
    mini["methods"]["maskformer"] = SMALL
    suite = config.check(mini, "mini")
    ours, semflows = (budget.parameters(suite, method) for method in ("maskformer", "semflow"))
    assert ours.sampling == ours.training == pytest.approx(semflows.training, rel=0.01)
    assert 1.4 < budget.training_flops(suite, "maskformer") / budget.training_flops(suite, "semflow") < 1.8
    assert budget.sampling_flops(suite, "maskformer", "segmentation", DIRECT) > 0


def test_a_plan_counts_what_the_full_size_costs_without_weights(tiny):
    tiny["data"]["size"] = [64, 64]
    tiny["methods"]["maskformer"] = {name: value for name, value in PAPER.items() if name != "batch_size"}
    suite = config.check(tiny | {"methods": tiny["methods"]}, "tiny")
    assert (
        2.9
        < budget.training_flops(suite, "maskformer") / budget.sampling_flops(suite, "maskformer", "segmentation", DIRECT)
        < 3.1
    )


def transformers_own(values: dict[str, Any], n_classes: int) -> MaskFormerForInstanceSegmentation:
    settings = settings_of(values)
    backbone = ResNetConfig(
        embedding_size=settings.stem_channels, hidden_sizes=list(settings.channels), depths=list(settings.blocks),
        layer_type=settings.block, out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    decoder = MaskFormerDetrConfig(
        d_model=settings.width, decoder_layers=settings.layers, decoder_attention_heads=settings.heads,
        encoder_attention_heads=settings.heads, decoder_ffn_dim=settings.hidden, num_queries=settings.queries,
    )  # fmt: skip
    return MaskFormerForInstanceSegmentation(
        MaskFormerConfig(
            backbone_config=backbone, decoder_config=decoder, num_labels=n_classes,
            fpn_feature_size=settings.width, mask_feature_size=settings.width,
        )
    ).eval()  # fmt: skip


def copied_from(model: MaskFormerForInstanceSegmentation) -> dict[str, dict[str, torch.Tensor]]:
    """Weights of transformers' model under the names of ours, whose attention keeps its three projections in one."""
    backbone, head = {}, {}
    for name, value in model.state_dict().items():
        if name.startswith("model.pixel_level_module.encoder."):
            backbone[name.removeprefix("model.pixel_level_module.encoder.")] = value
            continue
        for old, new in (
            ("model.pixel_level_module.decoder.", "pixel_decoder."), ("model.transformer_module.", ""),
            ("queries_embedder", "query_embed"), ("decoder.layers.", "layers."),
            ("decoder.layernorm", "norm"), ("self_attn_layer_norm", "norms.0"), ("encoder_attn_layer_norm", "norms.1"),
            ("final_layer_norm", "norms.2"), ("mlp.fc1", "linear1"), ("mlp.fc2", "linear2"), ("self_attn", "self_attention"),
            ("encoder_attn", "cross_attention"), ("o_proj", "out_proj"),
            ("class_predictor", "class_embed"), ("mask_embedder", "mask_embed"),
        ):  # fmt: skip
            name = name.replace(old, new)
        head[name] = value
    for name in [name for name in head if ".q_proj." in name]:
        parts = [head.pop(name.replace("q_proj", f"{part}_proj")) for part in "qkv"]
        head[name.replace("q_proj.", "in_proj_")] = torch.cat(parts)
    del head["criterion.empty_weight"]
    counts = [name for name in backbone if name.endswith("num_batches_tracked")]
    return {"backbone": {name: value for name, value in backbone.items() if name not in counts}, "head": head}


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 64), (72, 40)])
def test_every_layer_predicts_what_transformers_own_model_does_with_the_same_weights(size):
    values = TINY | IMAGENET
    other, model = transformers_own(values, N), model_of(values)
    for key, weights in copied_from(other).items():
        own = model.networks[key].stored
        assert own.state_dict().keys() == weights.keys()
        own.load_state_dict(weights)
    model.networks.eval()
    pixels = torch.randn(2, 3, *size)
    classes, masks = model.predictions(pixels)
    out = other(pixels, output_hidden_states=True)
    torch.testing.assert_close(classes[-1], out.class_queries_logits)
    torch.testing.assert_close(masks[-1], out.masks_queries_logits)
    first = other.model.transformer_module.decoder.layernorm(out.transformer_decoder_hidden_states[1])
    torch.testing.assert_close(classes[0], other.class_predictor(first))


def test_the_small_stem_keeps_the_size_and_the_stages_halve_it():
    features = model_of(TINY).networks["backbone"](torch.zeros(2, 3, 32, 32))
    assert [tuple(feature.shape[1:]) for feature in features] == [(8, 32, 32), (8, 16, 16), (16, 8, 8), (16, 4, 4)]


def test_frozen_norms_keep_their_statistics_and_their_weights_get_no_gradient():
    backbone = model_of(TINY, frozen_batch_norm=True).networks["backbone"].train()
    before = {name: value.clone() for name, value in backbone.named_buffers()}
    sum(feature.square().sum() for feature in backbone(torch.randn(4, 3, 16, 16))).backward()
    assert all(torch.equal(value, before[name]) for name, value in backbone.named_buffers())
    of_norms = {name: weight.grad is None for name, weight in backbone.named_parameters() if "normalization" in name}
    assert of_norms and all(of_norms.values())
    assert all(weight.grad is not None for name, weight in backbone.named_parameters() if name not in of_norms)


def test_frozen_norms_stay_so_when_processes_share_their_statistics():
    backbone = model_of(TINY, frozen_batch_norm=True).networks["backbone"]
    names = list(backbone.stored.state_dict())
    shared = torch.nn.SyncBatchNorm.convert_sync_batchnorm(backbone).train()
    assert len(shared.norms()) == 12  # of the stem, of two a block, and of three shortcuts
    assert all(isinstance(norm, torch.nn.SyncBatchNorm) for norm in shared.norms())
    assert not any(norm.training for norm in shared.norms())
    assert list(shared.stored.state_dict()) == names


# --- the losses


def given_logits(size: int, queries: int = 12, n_classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(3, queries, n_classes + 1), 3 * torch.randn(3, queries, size, size)


def given_labels(n_classes: int = 5, size: int = 16) -> torch.Tensor:
    labels = torch.randint(n_classes, (3, size, size), dtype=torch.uint8)
    labels[0, :8] = 255
    labels[1] = labels[1].clamp(max=1)
    return labels


def transformers_loss(classes, masks, labels) -> dict[str, torch.Tensor]:
    n_classes = classes.shape[2] - 1
    weights = {"loss_cross_entropy": 1.0, "loss_mask": 20.0, "loss_dice": 1.0}
    matcher = theirs.MaskFormerHungarianMatcher(cost_class=1.0, cost_mask=20.0, cost_dice=1.0)
    criterion = theirs.MaskFormerLoss(n_classes, matcher, weights, 0.1)
    found = [torch.tensor([c for c in row.unique().tolist() if c != 255], dtype=torch.long) for row in labels]
    wanted = [(row == classes[:, None, None]).float() for row, classes in zip(labels, found, strict=True)]
    loss = criterion(masks, classes, wanted, found)
    return {name: weights[f"loss_{long}"] * loss[f"loss_{long}"]
            for name, long in (("class", "cross_entropy"), ("mask", "mask"), ("dice", "dice"))}  # fmt: skip


@pytest.mark.parametrize("case", ["as large", "half as large", "few queries", "a picture all ignored"])
def test_losses_of_a_layer_are_those_of_transformers(case):
    labels = given_labels()
    classes, masks = given_logits(8 if case == "half as large" else 16, queries=3 if case == "few queries" else 12)
    if case == "a picture all ignored":
        labels[2] = 255
    ours, expected = terms.losses(classes, masks, labels), transformers_loss(classes, masks, labels)
    assert ours.keys() == expected.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], expected[name])


def test_losses_are_summed_over_layers_each_with_its_own_matching(labels):
    model, pixels = model_of(TINY), torch.randn(2, 3, 16, 16)
    model.networks.eval()
    layers = [transformers_loss(*layer, labels) for layer in zip(*model.predictions(pixels), strict=True)]
    for name, loss in model.losses("training", (pixels, labels), seeded(), {}).items():
        torch.testing.assert_close(loss, layers[0][name] + layers[1][name])


@pytest.mark.parametrize("seed", range(20))
def test_an_assignment_costs_as_little_as_the_cheapest_of_all(seed):
    draws = np.random.RandomState(seed)
    costs, present = draws.randn(2, 3, 3), draws.rand(2, 3) < 0.7
    pictures, queries, classes = (part.numpy() for part in terms.match(torch.tensor(costs), torch.tensor(present)))
    for picture in range(2):
        there, mine = present[picture].nonzero()[0], pictures == picture
        assert sorted(classes[mine]) == there.tolist()
        assert len(set(queries[mine])) == mine.sum()
        cheapest = min(costs[picture, rows, there].sum() for rows in map(list, itertools.permutations(range(3), len(there))))
        assert costs[picture, queries[mine], classes[mine]].sum() == pytest.approx(cheapest)


def test_ignored_pixels_are_in_no_mask_and_match_no_query():
    labels = torch.full((1, 4, 4), 255, dtype=torch.uint8)
    labels[0, :2, :2] = 1
    classes, masks = torch.full((1, 2, 4), -30.0), torch.full((1, 2, 4, 4), -30.0)
    classes[0, 0, 1] = classes[0, 1, 3] = 30.0  # the first query says class 1, the second no object
    masks[0, 0, :2, :2] = 30.0
    there = terms.classes_of(labels, 3)
    assert there.tolist() == [[False, True, False]]
    assert [part.tolist() for part in terms.match(terms.cost(classes, masks, labels), there)] == [[0], [0], [1]]
    assert all(loss < 1e-3 for loss in terms.losses(classes, masks, labels).values())
    masks[0] = 30.0
    wrong = terms.losses(classes, masks, labels)
    assert wrong["mask"].item() == pytest.approx(20 * 0.75 * 30 * 12 / 16)  # (1 - alpha) times the logit, on 12 of 16 pixels
    assert wrong["dice"].item() == pytest.approx(1 - (2 * 4 + 1) / (16 + 4 + 1))


def test_pictures_whose_labels_are_all_ignored_train_no_object_alone():
    classes, masks = (part.requires_grad_() for part in given_logits(8))
    losses = terms.losses(classes, masks, torch.full((3, 16, 16), 255, dtype=torch.uint8))
    assert losses["mask"] == losses["dice"] == 0
    torch.testing.assert_close(losses["class"], -classes.log_softmax(2)[..., -1].mean())
    sum(losses.values()).backward()
    assert classes.grad.isfinite().all() and masks.grad.isfinite().all()


def test_predictions_that_are_not_finite_make_such_a_loss_and_no_traceback():
    classes, masks = given_logits(16)
    masks[0] = torch.nan
    assert not terms.losses(classes, masks, given_labels())["mask"].isfinite()


def test_processes_that_share_a_batch_work_out_the_loss_of_the_whole(monkeypatch):
    classes, masks = given_logits(16)
    labels = given_labels()
    whole, rows, sums, parts = terms.losses(classes, masks, labels), [slice(0, 2), slice(2, 3)], [], []

    def note(number):
        sums.append(number.clone())

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", note)
    for part in rows:
        terms.losses(classes[part], masks[part], labels[part])
    totals = [sums[0] + sums[2], sums[1] + sums[3]]
    for part in rows:
        left = list(totals)
        monkeypatch.setattr(torch.distributed, "all_reduce", lambda number, left=left: number.copy_(left.pop(0)))
        parts.append(terms.losses(classes[part], masks[part], labels[part]))
    for name in whole:
        torch.testing.assert_close((parts[0][name] + parts[1][name]) / 2, whole[name])


# --- segmentation


@torch.no_grad()
def test_segmentation_is_transformers_post_processing_of_masks_at_the_pictures_size(images):
    model = model_of(TINY | IMAGENET)
    model.networks.eval()
    images = interpolate(images, (64, 64))
    classes, masks = (layers[-1] for layers in model.predictions(normalized((images + 1) * 127.5)))
    masks = interpolate(masks, (64, 64), mode="bilinear")
    outputs = SimpleNamespace(class_queries_logits=classes, masks_queries_logits=masks)
    expected = MaskFormerImageProcessor().post_process_semantic_segmentation(outputs)
    labels = model.segment(images, DIRECT, seeded())
    assert (labels.shape, labels.dtype) == ((2, 64, 64), torch.uint8)
    assert torch.equal(labels.long(), torch.stack(list(expected)))


@torch.no_grad()
def test_segmentation_draws_nothing_and_sees_the_pixels_of_training(suite_of):
    model = make_model(suite_of(), "maskformer")
    model.networks.eval()
    image, mask = Batches(Scenes(2, (16, 16), 0, "train", 2))[range(2)]
    seen, before = [], torch.get_rng_state()
    model.networks["backbone"].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    assert torch.equal(*(model.segment(to_unit_range(image), DIRECT, seeded(seed)) for seed in (1, 2)))
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(seen[0], model.look(Batch(image, mask), seeded())[0], rtol=1e-5, atol=1e-5)


def test_normalized_pixels_have_imagenets_mean_and_deviation():
    white = torch.full((1, 3, 1, 1), 255.0)
    by_hand = [(1 - mean) / deviation for mean, deviation in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    assert normalized(white).flatten().tolist() == pytest.approx(by_hand, rel=1e-4)


# --- colours and scales


def test_hue_saturation_and_value_are_those_of_the_standard_library():
    pixels = torch.rand(1, 3, 40, 50)
    pixels[0, :, 0, :4] = torch.tensor([[0.0, 1.0, 0.5, 1.0], [0.0, 1.0, 0.5, 1.0], [0.0, 1.0, 0.5, 0.0]])
    expected = torch.tensor([colorsys.rgb_to_hsv(*pixel) for pixel in pixels[0].flatten(1).T.tolist()]).T.view(1, 3, 40, 50)
    torch.testing.assert_close(augment.to_hsv(pixels), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(augment.to_rgb(expected), pixels, rtol=0, atol=1e-6)


def jittered_by_hand(pixel: list[float], draws: list[float]) -> list[float]:
    """SSD's changes of one pixel, 0..255, after nine draws: which of the four, how far, and whether contrast comes first."""
    brightness, contrast, saturation, hue = (
        2 * amount - 1 if chosen < 0.5 else 0 for chosen, amount in zip(draws[:4], draws[4:8], strict=True)
    )

    def clip(values, top):
        return [min(max(value, 0), top) for value in values]

    pixel = clip([value + 32 * brightness for value in pixel], 255)
    if draws[8] < 0.5:
        pixel = clip([value * (1 + contrast / 2) for value in pixel], 255)
    h, s, v = colorsys.rgb_to_hsv(*(value / 255 for value in pixel))
    pixel = [255 * value for value in colorsys.hsv_to_rgb((h + hue * 36 / 360) % 1, *clip([s * (1 + saturation / 2)], 1), v)]
    return pixel if draws[8] < 0.5 else clip([value * (1 + contrast / 2) for value in pixel], 255)


def test_colour_jitter_is_that_of_ssd():
    images, draws = 255 * torch.rand(300, 3, 1, 1), torch.rand(300, 9, generator=seeded(1))
    jittered = augment.jitter_colours(images, seeded(1))
    by_hand = [jittered_by_hand(*row) for row in zip(images.flatten(1).tolist(), draws.tolist(), strict=True)]
    torch.testing.assert_close(jittered.flatten(1), torch.tensor(by_hand), rtol=0, atol=1e-2)


def test_each_change_of_colour_is_made_in_half_of_the_pictures():
    grey, n = torch.full((4000, 3, 1, 1), 128.0), 4000
    same = (augment.jitter_colours(grey, seeded()) - grey).abs().amax(1).flatten() < 1e-3  # only the first two change grey
    assert same.float().mean().item() == pytest.approx(1 / 4, abs=5 * (3 / 16 / n) ** 0.5)


def test_a_picture_is_jittered_the_same_however_the_batch_is_cut(suite_of):
    model = make_model(suite_of(colour_jitter=True, scale_jitter=[0.5, 1.5]), "maskformer")
    batch = Batch(*Batches(Scenes(4, (16, 16), 0, "train", 2))[range(4)])
    whole = model.look(batch, [Stream(seeded(), 4, slice(0, 4))])
    last = model.look(batch.rows(2, 4), [Stream(seeded(), 4, slice(2, 4))])
    assert all(torch.equal(one[2:], other) for one, other in zip(whole, last, strict=True))


def test_scale_1_changes_nothing():
    images, labels = 255 * torch.rand(2, 3, 8, 12), torch.randint(256, (2, 8, 12), dtype=torch.uint8)
    scaled, of_them = augment.jitter_scale(images, labels, (1.0, 1.0), seeded())
    torch.testing.assert_close(scaled, images, rtol=0, atol=1e-3)
    assert torch.equal(of_them, labels)


def test_half_the_size_leaves_three_quarters_ignored_and_grey_and_the_whole_picture_there():
    images, labels = torch.full((50, 3, 16, 16), 255.0), torch.full((50, 16, 16), 7, dtype=torch.uint8)
    scaled, of_them = augment.jitter_scale(images, labels, (0.5, 0.5), seeded())
    there = of_them == 7
    assert ((of_them == 255) | there).all()
    assert there.sum((1, 2)).tolist() == [64] * 50
    rows, columns = there.any(2).float().argmax(1), there.any(1).float().argmax(1)
    assert {*rows.tolist()} == {*columns.tolist()} == set(range(9))
    assert (scaled[:, 0][there] > 127.5).all()
    beside = max_pool2d(there[:, None].float(), 3, 1, 1)[:, 0] > 0
    torch.testing.assert_close(scaled[:, 0][~beside], torch.full((int((~beside).sum()),), 127.5))


def test_one_and_a_half_the_size_is_cropped_inside_and_labels_stay_on_their_pixels():
    labels = (torch.arange(24)[:, None] // 4 * 6 + torch.arange(24) // 4).byte().expand(60, 24, 24)
    images = labels[:, None].float().expand(60, 3, 24, 24)
    scaled, of_them = augment.jitter_scale(images, labels, (1.5, 1.5), seeded())
    assert of_them.max() < 36
    inside = (scaled[:, 0] - scaled[:, 0].round()).abs() < 1e-3  # away from borders of regions
    assert inside.float().mean() > 0.5
    assert (scaled[:, 0].round().byte() == of_them)[inside].float().mean() > 0.95
    assert of_them[:, 0, 0].unique().numel() > 4
    assert (of_them == 0).any() and (of_them == 35).any()


# --- training


def test_it_overfits_four_scenes_and_opens_again(suite_of, tmp_path):
    suite = suite_of(channels=[16, 16, 32, 32], stem_channels=16, training={"lr": 2e-3, "grad_clip": 1.0})
    training = suite.training.model_copy(update={"steps": 150, "batch_size": 4, "flip": False, "ema_decay": 0.9})
    suite = suite.model_copy(update={"training": training, "data": suite.data.model_copy(update={"n_train": 4})})
    train(suite, "maskformer", 0, tmp_path / "state", tmp_path / "out")
    model, card = open_checkpoint(tmp_path / "out")
    assert (card.network, card.pseudo_mask, card.autoencoder) == (None, None, None)
    images, labels = Batches(Scenes(4, suite.data.size, suite.data.seed, "train", 2))[range(4)]
    with torch.inference_mode():
        predicted = model.segment(to_unit_range(images), DIRECT, seeded())
    assert miou(confusion(predicted, labels, len(NAMES))) > 0.8


def test_stopped_and_resumed_in_the_middle_ends_in_the_same_bits(suite_of, tmp_path):
    suite = suite_of(dropout=0.1, colour_jitter=True, scale_jitter=[0.5, 1.5])
    suite = suite.model_copy(update={"training": suite.training.model_copy(update={"steps": 4, "batch_size": 4})})
    train(suite, "maskformer", 0, tmp_path / "whole", tmp_path / "whole-out")
    trainer = Trainer(make_accelerator(suite), suite, "maskformer", 0, tmp_path / "cut")
    for number, batch in enumerate(training_batches(open_dataset(suite.data, "train"), trainer)):
        if number == 2:
            break
        trainer.advance(batch)
    trainer.save()
    trainer.end()
    train(suite, "maskformer", 0, tmp_path / "cut", tmp_path / "cut-out")
    whole, cut = (load_file(tmp_path / name / STATE) for name in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    assert [name for name in whole if not torch.equal(whole[name], cut[name])] == []


# --- pretrained backbones and settings


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    """A folder of a tiny ResNet for ImageNet, at random weights."""
    torch.manual_seed(5)
    shape = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "layer_type": "basic"}
    model = ResNetForImageClassification(ResNetConfig(**shape, num_labels=7))
    folder = tmp_path_factory.mktemp("resnet")
    model.save_pretrained(folder)
    return folder


def test_a_pretrained_backbone_is_taken_over(resnet):
    backbone = model_of(TINY | IMAGENET, pretrained=str(resnet)).networks["backbone"]
    whole = ResNetForImageClassification.from_pretrained(resnet, local_files_only=True)
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        last = whole.eval().resnet(pixels).last_hidden_state
        torch.testing.assert_close(backbone.eval()(pixels)[-1], last)


def test_a_pretrained_backbone_is_needed_for_training_alone(suite_of, resnet, tmp_path):
    folder = tmp_path / "resnet"
    folder.symlink_to(resnet)
    suite = suite_of(**IMAGENET, pretrained=str(folder))
    suite = suite.model_copy(update={"data": suite.data.model_copy(update={"size": (32, 32)})})
    suite = suite.model_copy(update={"training": suite.training.model_copy(update={"steps": 1, "batch_size": 4})})
    train(suite, "maskformer", 0, tmp_path / "state", tmp_path / "out")
    folder.unlink()
    make_shape(suite, "maskformer")  # which a plan is made of
    open_checkpoint(tmp_path / "out")
    with pytest.raises(SemFlowError, match="pretrained: there is no folder .*; put a transformers folder of a R"):
        make_model(suite, "maskformer")


def test_another_resnet_is_refused(resnet):
    with pytest.raises(SemFlowError, match="methods.maskformer.pretrained: .* is not what the suite says: depths is"):
        model_of(TINY | IMAGENET, pretrained=str(resnet), blocks=[1, 2, 1, 1])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"channels": [8, 8, 8]}, "channels must have one entry for each of the 4 stages"),
        ({"blocks": [1] * 5}, "blocks must have one entry"),
        ({"width": 48}, "width 48 must be a multiple of 32"),
        ({"heads": 5}, "heads 5 must divide width 32"),
        ({"block": "bottleneck", "channels": [8, 8, 16, 18]}, "multiples of 4"),
        ({"pretrained": "somewhere"}, "stem_kernel 7, stem_stride 2 and stem_pooling true"),
        ({"scale_jitter": [1.5, 0.5]}, "scale_jitter .* the smaller one first"),
    ],
)
def test_impossible_settings_are_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        settings_of(TINY, **copy.deepcopy(changes))


def test_the_published_recipe_reaches_the_optimizer(suite_of, tmp_path):
    suite = suite_of(**{name: PAPER[name] for name in ("training", "ema_decay", "frozen_batch_norm", "scale_jitter")})
    trainer = Trainer(make_accelerator(suite), suite, "maskformer", 0, tmp_path)
    (turn,) = trainer.turns
    assert [turn.rate(step) for step in (0, trainer.steps // 2)] == [pytest.approx(1e-4), pytest.approx(1e-4 * 0.5**0.9)]
    found = {(group["multiplier"], group["weight_decay"]) for group in turn.optimizer.param_groups}
    assert found == {(0.1, 1e-4), (0.1, 0.0), (1.0, 1e-4), (1.0, 0.0)}
    assert (turn.recipe.grad_clip, trainer.average) == (0.01, None)
    before = {name: weight.detach().clone() for name, weight in turn.parameters.items()}
    trainer.advance(Batch(*Batches(Scenes(4, (16, 16), 0, "train", 2))[range(4)]))
    moved = {name: (weight - before[name]).abs().max().item() for name, weight in turn.parameters.items()}
    norms = [name for name in moved if name.startswith("backbone") and "normalization" in name]
    assert {moved[name] for name in norms} == {0}
    kernels = [moved[name] for name in moved if name.startswith("backbone") and name not in norms]
    assert kernels and all(0 < distance <= 1.1e-5 for distance in kernels)  # Adam's first step is the learning rate at most
    assert max(moved.values()) == pytest.approx(1e-4, rel=0.05)


def test_the_published_settings_are_read():
    assert settings_of(PAPER).scale_jitter == (0.5, 1.5)


# --- released weights


def released(blocks: list[int], n_classes: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the published architecture, as its authors' code calls them."""
    shapes: dict[str, tuple[int, ...]] = {"criterion.empty_weight": (n_classes + 1,)}

    def normed(name: str, *shape: int, frozen: bool = True) -> None:
        shapes[f"{name}.weight"] = shape
        for part in ("weight", "bias", *(("running_mean", "running_var") if frozen else ())):
            shapes[f"{name}.norm.{part}"] = shape[:1]

    def biased(name: str, *shape: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, shape[:1]

    normed("backbone.stem.conv1", 64, 3, 7, 7)
    before = 64
    for stage, n in enumerate(blocks, 2):
        inner, outer = 16 * 2**stage, 64 * 2**stage
        for block in range(n):
            name = f"backbone.res{stage}.{block}"
            normed(f"{name}.conv1", inner, before, 1, 1)
            normed(f"{name}.conv2", inner, inner, 3, 3)
            normed(f"{name}.conv3", outer, inner, 1, 1)
            if block == 0:
                normed(f"{name}.shortcut", outer, before, 1, 1)
            before = outer
    decoder, predictor = "sem_seg_head.pixel_decoder", "sem_seg_head.predictor"
    for n, channels in enumerate((256, 512, 1024), 1):
        normed(f"{decoder}.adapter_{n}", 256, channels, 1, 1, frozen=False)
        normed(f"{decoder}.layer_{n}", 256, 256, 3, 3, frozen=False)
    normed(f"{decoder}.layer_4", 256, 2048, 3, 3, frozen=False)
    biased(f"{decoder}.mask_features", 256, 256, 3, 3)
    for layer in range(6):
        name = f"{predictor}.transformer.decoder.layers.{layer}"
        for attention in ("self_attn", "multihead_attn"):
            shapes[f"{name}.{attention}.in_proj_weight"], shapes[f"{name}.{attention}.in_proj_bias"] = (768, 256), (768,)
            biased(f"{name}.{attention}.out_proj", 256, 256)
        biased(f"{name}.linear1", 2048, 256)
        biased(f"{name}.linear2", 256, 2048)
        for norm in (1, 2, 3):
            biased(f"{name}.norm{norm}", 256)
    biased(f"{predictor}.transformer.decoder.norm", 256)
    shapes[f"{predictor}.query_embed.weight"] = (100, 256)
    biased(f"{predictor}.input_proj", 256, 2048, 1, 1)
    biased(f"{predictor}.class_embed", n_classes + 1, 256)
    for layer in range(3):
        biased(f"{predictor}.mask_embed.layers.{layer}", 256, 256)
    return shapes


@pytest.mark.parametrize("blocks", [[3, 4, 6, 3], [3, 4, 23, 3]])
def test_released_weights_are_one_to_one_with_ours(blocks):
    model, theirs = shape_of(PAPER, 171, blocks=blocks), released(blocks, 171)
    places = {name: place(name) for name in theirs}
    assert [name for name, at in places.items() if at is None] == ["criterion.empty_weight"]
    placed = {at: theirs[name] for name, at in places.items() if at is not None}
    assert len(placed) == len(theirs) - 1
    ours = {
        (key, name): tuple(value.shape)
        for key, network in model.networks.items()
        for name, value in network.stored.state_dict().items()
    }
    assert placed == ours


def test_names_of_the_oldest_files_counts_and_foreign_weights():
    assert place("sem_seg_head.adapter_1.norm.bias") == place("sem_seg_head.pixel_decoder.adapter_1.norm.bias")
    assert place("backbone.res2.0.conv1.norm.num_batches_tracked") is None
    with pytest.raises(SemFlowError, match="backbone.layers.0.blocks.0.attn.qkv.weight is no weight of a MaskFormer with ResNet"):
        place("backbone.layers.0.blocks.0.attn.qkv.weight")
