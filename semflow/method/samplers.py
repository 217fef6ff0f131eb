"""How a method samples: a name and a number of steps. Imports no torch."""

from collections.abc import Collection
from typing import NamedTuple

from semflow.errors import SemFlowError, did_you_mean

STEPLESS = {"direct": "one pass of the network", "rk45": "it chooses its own steps"}  # samplers without a number, and why
TITLES = {"euler": "Euler", "heun": "Heun", "midpoint": "midpoint", "direct": ""}  # of the others: the name in capitals


class Sampler(NamedTuple):
    """A name and a number of steps, written `euler-25` or `ddim-200`; of `STEPLESS` samplers the name alone, with 0 steps."""

    name: str
    steps: int = 0

    @classmethod
    def parse(cls, text: str) -> "Sampler":
        """SemFlowError if `text` is neither NAME-STEPS nor the name of a sampler without steps."""
        if text in STEPLESS:
            return cls(text)
        name, _, steps = text.rpartition("-")
        if name in STEPLESS:
            raise SemFlowError(f"sampler {text!r}: {name} takes no number of steps ({STEPLESS[name]}); write {name}")
        if not name or not steps.isdecimal() or int(steps) < 1:
            raise SemFlowError(f"sampler {text!r} is not NAME-STEPS with at least one step, such as euler-25")
        return cls(name, int(steps))

    @property
    def title(self) -> str:
        """As people write it: Euler-25, DDIM-200, RK45; nothing for `direct`."""
        name = TITLES.get(self.name, self.name.upper())
        return f"{name}-{self.steps}" if self.steps else name

    def __str__(self) -> str:
        return f"{self.name}-{self.steps}" if self.steps else self.name


DIRECT = Sampler("direct")


def has_no(method: str, sampler: str, task: str, known: Collection[str]) -> str:
    """The sentence on a sampler that a method does not have for a task. known: those that it has."""
    has = did_you_mean(sampler, known, f"; it has {', '.join(known) or 'none'}")
    return f"{method} has no sampler {sampler!r} for {task}{has}"
