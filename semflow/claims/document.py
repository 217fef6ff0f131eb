"""What the paper claims: the form of `semflow/published/claims.yaml`, read and checked. A claim is an entry there, and no code.

Whatever names nothing that could be measured is refused: a typo is a mistake, and not a claim that was not run.
"""

import re
from functools import cache, partial
from importlib import resources
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator

from baselines import METHODS
from semflow import files, published
from semflow.errors import SemFlowError, did_you_mean, sentence
from semflow.evaluation.metrics.catalogue import KINDS, ROLES
from semflow.evaluation.metrics.scores import SCORES
from semflow.method.samplers import DIRECT, Sampler
from semflow.suite.measurements import doing, draws
from semflow.suite.runs import CONTROLS

EVERY = "N"  # stands for each number of steps that was measured
CHOSEN = ("best", "most", "fewest")  # of the numbers of steps that were measured
_SEGMENTATION = {*SCORES, "miou_native"}
_CONSISTENCY = {"consistency_miou", "consistency_miou_second"}
METRICS = {  # by task; `distance` is FID's role or MMD²'s, by the number of images
    "segmentation": _SEGMENTATION | {"path_length_excess"},
    "seed_agreement": {"seed_agreement"},
    "synthesis": {*KINDS, *ROLES, "distance"} - _SEGMENTATION - {"seed_agreement", *_CONSISTENCY},
    "consistency": _CONSISTENCY,
}
ScaleName = Literal["proxy", "paper"]


class Term(NamedTuple):
    """What is measured, as it is written: METHOD TASK SAMPLER METRIC, and b=, b'= where the perturbation is not the suite's own.

    steps: a number, 0 for none, "N", or one of `CHOSEN`.  b: of the training, in 0..255 units; None for the suite's own.
    drawn: b' in units of b; None for 1.
    """

    method: str
    task: str
    sampler: str
    steps: int | str
    metric: str
    b: float | None = None
    drawn: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Term":
        """SemFlowError names what is not understood, or is nothing that could be measured."""
        words, amplitudes = list[str](), dict[str, float]()
        for word in str(text).split():
            if match := re.fullmatch(r"(b'?)=(\d+(?:\.\d+)?)", word):
                amplitudes[match[1]] = float(match[2])
            else:
                words.append(word)
        if len(words) != 4:
            raise SemFlowError(f"term {text!r} is not METHOD TASK SAMPLER METRIC, with b= and b'= after it if need be")
        method, task, sampler, metric = words
        name, _, ending = sampler.rpartition("-")
        steps: int | str = ending
        if steps not in (EVERY, *CHOSEN):
            name, steps = Sampler.parse(sampler)
        term = cls(method, task, name, steps, metric, amplitudes.get("b"), amplitudes.get("b'"))
        if problem := term._problem():
            raise SemFlowError(f"term {text!r}: {problem}")
        return term

    def _problem(self) -> str:
        """What is wrong with it, or nothing."""
        methods = {*METHODS, *published.samplers(), *(name for names in CONTROLS.values() for name in names)}
        for what, word, known in (("method", self.method, methods), ("task", self.task, METRICS), ("metric", self.metric, _ALL)):
            if word not in known:
                return f"there is no {what} {word!r}; it is one of {', '.join(sorted(known))}"
        if self.sampler not in (samplers := _samplers(self.method, self.task)):
            has = f"it has {', '.join(samplers)}" if samplers else "it has none"
            return f"{self.method} has no sampler {self.sampler!r} for {self.task}; {has}"
        if self.metric not in METRICS[self.task]:
            return f"{self.metric} is no metric of {self.task}"
        if self.b is not None and not perturbed(self.method):
            return f"b= is for methods whose masks are perturbed; {self.method}'s are not"
        if self.drawn is not None and not draws(self.task):
            return f"b'= is for what draws; {self.task} has no perturbation in sampling"
        if self.steps in (EVERY, *CHOSEN) and self.task == "seed_agreement":
            return "seed_agreement is measured at one number of steps; name it"
        return ""


_ALL = set[str]().union(*METRICS.values())


def perturbed(method: str) -> bool:
    """Whether a method's masks are perturbed (Eq. 14)."""
    return method in METHODS and METHODS[method].perturbed


def _samplers(method: str, task: str) -> list[str]:
    """Those that a method or control has for a task; those that the paper gives a method that is not here yet."""
    if method in METHODS:
        return list(METHODS[method].tasks.get(doing(task), ()))
    return [DIRECT.name] if method in CONTROLS[task] else published.samplers().get(method, [])


class _Entry(BaseModel):
    """Closed: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _term(text: Any) -> Term:
    try:
        return Term.parse(text)
    except SemFlowError as error:
        raise ValueError(str(error)) from None


Number = Annotated[float, Field(allow_inf_nan=False)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
Written = Annotated[Term, PlainValidator(_term)]


class Condition(_Entry):
    """An effect and where it must lie: a term, less another (`minus`), over another (`over`), or what it takes to reach what
    another reaches, over what the other takes (`cost_against`): evaluations of its network, or seconds (`cost`). from_steps: the
    least number of steps that "N" stands for."""

    of: Written
    minus: Written | None = None
    over: Written | None = None
    cost_against: Written | None = None
    cost: Literal["evaluations", "seconds"] = "evaluations"
    from_steps: int = 1
    at_least: Number | None = None
    at_most: Number | None = None

    @property
    def terms(self) -> list[Term]:
        """One, or the two that are compared."""
        return [term for term in (self.of, self.minus, self.over, self.cost_against) if term]

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Condition":
        if len(self.terms) > 2:
            raise ValueError("takes one of minus, over and cost_against")
        if self.at_least is None and self.at_most is None:
            raise ValueError("needs at_least, at_most or both")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least:g} lies above at_most {self.at_most:g}")
        if self.cost_against and any(term.steps != EVERY for term in self.terms):
            raise ValueError(f"cost_against compares every number of steps; write NAME-{EVERY} on both sides")
        return self


Conditions = Annotated[tuple[Condition, ...], Field(min_length=1)]


class MinSamples(_Entry):
    """What a claim needs before it is judged. images: of the split, or of the examples and layouts that a metric is made from."""

    images: Annotated[int, Field(ge=1)] = 100
    trainings: Annotated[int, Field(ge=1)] = 1


class Claim(_Entry):
    """An ordering or a shape. It holds where every condition does.

    primary: whether it is one of those that the paper's message rests on, whose p-values are corrected together.
    min_scale: the smallest scale that it can be judged at.  sanity_check: what a proxy must show to judge it.
    witnesses: conditions by other means of measuring, which must fall the same way, or nothing is concluded.
    by_construction: why it holds of any implementation that is right, "" where it might not.  untested: why it has no conditions.
    """

    id: Id
    primary: bool = False
    place: str
    words: str
    kind: Literal["ordering", "shape"]
    conditions: tuple[Condition, ...] = ()
    reason: str
    min_scale: ScaleName = "proxy"
    sanity_check: str | None = None
    witnesses: tuple[Condition, ...] = ()
    by_construction: str = ""
    untested: str = ""
    min_samples: MinSamples = MinSamples()

    @model_validator(mode="after")
    def _can_be_judged_or_says_why_not(self) -> "Claim":
        if bool(self.conditions) == bool(self.untested):
            raise ValueError("needs conditions, or untested with the reason why there are none")
        if self.primary and (self.by_construction or self.untested):
            raise ValueError("a primary claim is one that evidence decides")
        return self


class SanityCheck(_Entry):
    """What a suite must show to be able to judge. words: what is the matter where it does not.  passes: whether all of its
    conditions must hold, or any one of those that were measured."""

    words: str
    passes: Literal["all", "any"] = "all"
    conditions: Conditions


class WellTrained(_Entry):
    """What a baseline must show on a small suite before any claim is judged on it; fixed before it was trained. Numbers are taken
    as measured, without tests."""

    conditions: Conditions


class TableEntries(_Entry):
    """Every number of a table as a claim, reproduced within the margin of its metric."""

    table: Literal[1, 2]
    min_scale: Literal["paper"]
    place: str
    min_samples: MinSamples
    margins: dict[str, Annotated[float, Field(gt=0)]]
    reason: str

    @model_validator(mode="after")
    def _margins_fit(self) -> "TableEntries":
        metrics = {"miou"} if self.table == 2 else {metric for values in published.table1().values() for metric in values}
        if set(self.margins) != metrics:
            raise ValueError(f"margins must be of {', '.join(sorted(metrics))}, each once")
        return self


class Quote(_Entry):
    """A number of Table 2 that the text gives."""

    method: str
    sampler: str
    steps: int
    miou: Number

    @model_validator(mode="after")
    def _in_the_table(self) -> "Quote":
        if (self.method, self.sampler, self.steps) not in published.table2():
            raise ValueError(f"Table 2 has no {self.method} {self.sampler}-{self.steps}")
        return self


class Discrepancy(_Entry):
    """Where the paper, its text and its code disagree or are silent, and the reading taken here."""

    id: Id
    place: str
    words: str
    reading: str
    quoted: tuple[Quote, ...] = ()


class Scale(_Entry):
    """From where on a suite is the paper's. datasets: (height, width) by the beginning of a name."""

    n_parameters: int
    datasets: dict[str, tuple[int, int]]


class Decided(_Entry):
    """What decides verdicts, as of some version. what: that it fixed or changed, in words."""

    hash: str
    what: str


class Document(_Entry):
    """The whole file.

    decides: hashes of all that decides a verdict, the present one last, which a test holds, each with what came with it.
    not_starved: by method, when it counts as trained well enough to be compared with.
    watched: what a drift check compares where weights are others, the first with half of its errors.
    """

    version: int
    decides: tuple[Decided, ...] = ()
    scale: Scale
    sanity_checks: dict[str, SanityCheck]
    not_starved: dict[str, WellTrained] = {}
    table_entries: tuple[TableEntries, ...]
    claims: tuple[Claim, ...]
    discrepancies: tuple[Discrepancy, ...]
    watched: tuple[Written, ...] = ()

    @model_validator(mode="after")
    def _names_fit(self) -> "Document":
        ids = [*(claim.id for claim in self.claims), *(discrepancy.id for discrepancy in self.discrepancies)]
        if doubled := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"ids must differ; {doubled[0]} is there twice")
        for claim in self.claims:
            if claim.sanity_check and claim.sanity_check not in self.sanity_checks:
                known = ", ".join(self.sanity_checks)
                raise ValueError(f"claim {claim.id}: there is no sanity_check {claim.sanity_check!r}; name one of {known}")
        methods = {*published.samplers(), *METHODS}
        for name in self.not_starved:
            if name not in methods:
                raise ValueError(f"not_starved: there is no method {name!r}{did_you_mean(name, methods)}")
        return self


_KEYS = {*Condition.model_fields, *Claim.model_fields, *Document.model_fields}


@cache
def load(text: str | None = None) -> Document:
    """The paper's claims, or others in the same form; SemFlowError names the entry and what is wrong in it."""
    if text is None:
        text = resources.files(published).joinpath("claims.yaml").read_text(encoding="utf-8")
    raw, _ = files.parse_document(text, "claims.yaml")
    try:
        return Document.model_validate(raw)
    except ValidationError as error:
        told = sentence(error, raw, _KEYS)
        raise SemFlowError(f"claims.yaml: {re.sub(r'(claims|discrepancies)[.]([0-9]+)', partial(_by_id, raw), told)}") from None


def _by_id(raw: dict[str, Any], found: re.Match[str]) -> str:
    """An entry in pydantic's location by its id, where it has one, in place of its number."""
    entry = raw[found[1]][int(found[2])]
    return f"{found[1]}.{entry.get('id', found[2]) if isinstance(entry, dict) else found[2]}"
