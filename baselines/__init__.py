"""Every method: one folder each, and here one line. Imports no torch."""

from importlib import import_module

from semflow.method.contract import Card

METHODS: dict[str, Card] = {
    name: import_module(f"baselines.{name}").CARD
    for name in (
        "semflow",
        "dsm",
        "dsm_modified",
        "maskformer",
        "pix2pixhd",
        "spade",
        "scgan",
        "bbdm",
        "cyclegan",
        "unet_supervised",
    )
}
