"""BBDM's settings at the two sizes: what stands under `methods.bbdm`."""

from typing import Any

SMALL: dict[str, Any] = {}  # the suite's own network, recipe and pseudo masks; pixels

PAPER: dict[str, Any] = {  # LBBDM-f4 on CelebAMask-HQ
    "batch_size": 32,  # 4 of 8, gradients added up
    "ema_decay": 0.99937,  # .995 every 8th step
    "palette": "celebamask_hq",
    "autoencoder": {
        "pretrained": "weights/vq-f4",
        "latent_channels": 3,
        "block_out_channels": [128, 256, 512],
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "codes": 8192,
    },
    "network": {
        "block_out_channels": [128, 512, 1024],
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "attention_head_dim": 64,
        "init_std": 0.02,
    },
    "bridge": {
        "lr": 1.0e-4,
        "lr_schedule": "constant",  # in place of halving it on a plateau
        "warmup_steps": 0,
        "betas": [0.9, 0.999],
        "weight_decay": 0.0,
        "grad_clip": 0,
    },
}
