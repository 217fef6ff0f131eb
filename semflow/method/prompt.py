"""The empty prompt that Stable Diffusion's network is given everywhere: CLIP's embedding of no words, worked out once."""

from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from semflow import files
from semflow.errors import SemFlowError
from semflow.method.pretrained import Pretrained
from semflow.provenance import content_hash

TOKENS = 77  # that CLIP reads
FILE = "prompt.safetensors"  # in a checkpoint folder
MADE = Path("results/prompts")
NAME = "prompt"
PARTS = ("text_encoder", "tokenizer")


def empty(weights: Pretrained, width: int) -> Tensor:
    """CLIP's last hidden state of the empty prompt, padded; float32 (1, 77, width). SemFlowError if it is of another width."""
    config: dict[str, Any] = weights.config("text_encoder")
    weights.check("text_encoder", {"hidden_size": width, "max_position_embeddings": TOKENS}, config)
    made_by = {name: metadata.version(name) for name in ("torch", "transformers")}
    kept = MADE / f"{content_hash(weights.fingerprint(PARTS, opened=True) | made_by)[:16]}.safetensors"
    with suppress(SemFlowError):  # there is none yet, or it is damaged
        return read(kept, width)
    prompt = _encode(weights)
    with suppress(SemFlowError):  # it will be worked out again
        write(kept, prompt)
    return prompt


def read(path: Path, width: int) -> Tensor:
    """The prompt in a file. SemFlowError if it is not there, damaged, or of another width."""
    if not path.exists():
        raise SemFlowError(f"{path.parent} has no {path.name}, the prompt of its network; copy the whole folder again")
    files.check_readable(path)
    try:
        prompt = load_file(path)[NAME]
    except (OSError, SafetensorError, KeyError) as error:
        raise SemFlowError(f"{path} is no prompt or damaged ({error}); copy the whole folder again") from None
    if prompt.shape != (1, TOKENS, width) or prompt.dtype != torch.float32:
        held = f"{prompt.dtype} {tuple(prompt.shape)}"
        raise SemFlowError(f"{path} is {held}, but its network takes a prompt of float32 {(1, TOKENS, width)}")
    return prompt


def write(path: Path, prompt: Tensor) -> None:
    """Write a prompt atomically."""
    tensors = {NAME: prompt.detach().cpu().contiguous()}
    files.write_atomically(path, lambda part: save_file(tensors, part), shared=True)


def _encode(weights: Pretrained) -> Tensor:
    from transformers import CLIPTextModel, CLIPTokenizer

    folder = weights.part("tokenizer")
    if not (folder / "tokenizer.json").exists() and not all((folder / name).exists() for name in ("vocab.json", "merges.txt")):
        raise SemFlowError(f"{weights.key}: {folder} lacks vocab.json or merges.txt; get the whole folder")
    encoder = weights.load("text_encoder", CLIPTextModel, dtype=torch.float32).eval()
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        tokens = tokenizer("", padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt").input_ids
        with torch.no_grad():
            return encoder(tokens).last_hidden_state
    except Exception as error:  # of whatever kind a damaged file leads to
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SemFlowError(f"{weights.key}: {folder} is not the tokenizer of its text encoder ({reason})") from None
