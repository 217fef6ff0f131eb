"""Stable Diffusion's folder in the official layout at a size that a test can afford, and the sections of a suite for it."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file

WIDTH = 12  # of the prompt
SPECIAL = {"bos_token": "<|startoftext|>", **dict.fromkeys(("eos_token", "unk_token", "pad_token"), "<|endoftext|>")}
VOCABULARY = ["a", "b", "a</w>", "b</w>", "ab</w>", "<|startoftext|>", "<|endoftext|>"]
SCHEDULER = {"_class_name": "PNDMScheduler", "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}  # as 1.5 has it


def make_sd_folder(folder: Path) -> Path:
    """Write unet, vae, text_encoder, tokenizer and scheduler at random weights."""
    torch.manual_seed(0)
    make_unet().save_pretrained(folder / "unet")
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 4, 8),
        norm_num_groups=2,
        latent_channels=4,
    )
    vae.save_pretrained(folder / "vae")
    _write_text_encoder(folder / "text_encoder")
    _write_tokenizer(folder / "tokenizer")
    (folder / "scheduler").mkdir()
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(SCHEDULER))
    return folder


def sd_sections(folder: Path | str | None) -> dict[str, Any]:
    """The suite's sections `network` and `autoencoder` for such a folder."""
    return {
        "network": {
            "kind": "stable_diffusion",
            "pretrained": None if folder is None else str(folder),
            "cross_attention_dim": WIDTH,
            "block_out_channels": [8, 16],
            "attention": [True, False],
            "layers_per_block": 1,
            "norm_num_groups": 4,
            "attention_head_dim": 4,
        },
        "autoencoder": {
            "kind": "kl",
            "pretrained": None if folder is None else str(folder),
            "latent_channels": 4,
            "block_out_channels": [4, 4, 4, 8],
            "scaling_factor": 0.18215,
        },
    }


def make_unet(**changes: Any) -> UNet2DConditionModel:
    shape = {
        "sample_size": 64,
        "block_out_channels": (8, 16),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 4,
        "cross_attention_dim": WIDTH,
    }
    return UNet2DConditionModel(**shape | changes)


def edit_json(path: Path, **values: Any) -> None:
    """Change keys of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _write_text_encoder(folder: Path) -> None:
    """With the names that the official file has, from before transformers 5 left their first word out."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=WIDTH,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
    )
    CLIPTextModel(config).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    named = {f"text_model.{name.removeprefix('text_model.')}": value for name, value in weights.items()}
    named["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(named, folder / "model.safetensors", {"format": "pt"})


def _write_tokenizer(folder: Path) -> None:
    folder.mkdir()
    texts = {
        "vocab.json": json.dumps({word: number for number, word in enumerate(VOCABULARY)}),
        "merges.txt": "#version: 0.2\na b</w>\n",
        "special_tokens_map.json": json.dumps(SPECIAL),
        "tokenizer_config.json": json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **SPECIAL}),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
