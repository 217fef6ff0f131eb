"""The paper's claims, checked: what claims.yaml may hold."""

from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from semflow.errors import SemFlowError


class Entry(BaseModel):
    """Closed: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Number = Annotated[float, Field(allow_inf_nan=False)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]


class Part(Entry):
    """An effect and where it must lie: `of` a cell, less another (`minus`), over another (`over`), or the evaluations that it
    takes to reach what another reaches, over the other's own (`cost_against`). from_steps: the least number of steps that "N"
    stands for."""

    of: str
    minus: str | None = None
    over: str | None = None
    cost_against: str | None = None
    from_steps: int = 1
    at_least: Number | None = None
    at_most: Number | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Part":
        if sum(other is not None for other in (self.minus, self.over, self.cost_against)) > 1:
            raise ValueError("takes one of minus, over and cost_against")
        if self.at_least is None and self.at_most is None:
            raise ValueError("needs at_least, at_most or both")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least:g} lies above at_most {self.at_most:g}")
        return self


class Least(Entry):
    """What a claim needs before it is judged. images: of the split, or of the examples and layouts that a metric is made from."""

    images: Annotated[int, Field(ge=1)] = 100
    trainings: Annotated[int, Field(ge=1)] = 1


class Claim(Entry):
    """An ordering or a shape. It holds where every part does.

    tier: the least scale that it can be judged at.  dsm: "against", where it puts SemFlow against DSM, so that a DSM which the
    suite helps can confirm it but not refute it; "own", where it is about DSM itself, of which a helped one says nothing.
    """

    id: Id
    place: str
    words: str
    kind: Literal["ordering", "shape"]
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]
    reason: str
    tier: Literal["proxy", "paper"] = "proxy"
    assay: str | None = None
    dsm: Literal["own", "against"] | None = None
    least: Least = Least()


class Assay(Entry):
    """What a suite must show to be able to judge. words: what is the matter where it does not."""

    words: str
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]


class Points(Entry):
    """Every number of a table as a claim, reproduced within the margin of its metric."""

    table: Literal[1, 2]
    tier: Literal["paper"]
    place: str
    least: Least
    margins: dict[str, Annotated[float, Field(gt=0)]]
    reason: str


class Quote(Entry):
    """A number that the text gives."""

    method: str
    sampler: str
    steps: int
    miou: Number


class Finding(Entry):
    """Where the paper, its text and its code part or are silent, and the reading taken here."""

    id: Id
    place: str
    words: str
    reading: str
    quoted: tuple[Quote, ...] = ()


class Scale(Entry):
    """From where on a suite is the paper's. datasets: (height, width) by the beginning of a name."""

    n_parameters: int
    datasets: dict[str, tuple[int, int]]


class Anchors(Entry):
    """Eq. 7: k levels a channel, s apart."""

    k: int
    s: Number


class Document(Entry):
    """The whole file."""

    version: int
    scale: Scale
    anchors: Anchors
    assays: dict[str, Assay]
    points: tuple[Points, ...]
    claims: tuple[Claim, ...]
    findings: tuple[Finding, ...]

    @model_validator(mode="after")
    def _names_fit(self) -> "Document":
        ids = [*(claim.id for claim in self.claims), *(finding.id for finding in self.findings)]
        if doubled := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"ids must differ; {doubled[0]} is there twice")
        if unknown := [claim for claim in self.claims if claim.assay and claim.assay not in self.assays]:
            raise ValueError(
                f"claim {unknown[0].id}: there is no assay {unknown[0].assay!r}; name one of {', '.join(self.assays)}"
            )
        return self


def load(text: str | None = None) -> Document:
    """Read and check the claims, or others in the same form; SemFlowError names the entry and what is wrong in it."""
    if text is None:
        text = resources.files("semflow.published").joinpath("claims.yaml").read_text(encoding="utf-8")
    try:
        return Document.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise SemFlowError(f"the claims are not readable YAML ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise SemFlowError(f"the claims are not in their form: {where}: {first['msg'].removeprefix('Value error, ')}") from None
