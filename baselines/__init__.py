"""Every method: one folder each, and here one line. Imports no torch."""

from baselines import dsm, semflow
from semflow.method.contract import Card

METHODS: dict[str, Card] = {
    "semflow": semflow.CARD,
    "dsm": dsm.CARD,
}
