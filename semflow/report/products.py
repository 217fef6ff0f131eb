"""What can be made from records: a table or a figure is registered where it is written, and named nowhere else."""

from collections.abc import Callable, Sequence
from functools import partial, wraps
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple, cast

from semflow import files, published
from semflow.claims.collect import Run, check_one, own_amplitudes
from semflow.errors import SemFlowError
from semflow.report.selection import among
from semflow.suite import Suite
from semflow.suite.jobs import Job, jobs
from semflow.suite.measurements import doing
from semflow.suite.reading import Study
from semflow.suite.runs import TASKS, Evaluation, evaluations, record_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

Needs = Callable[[list[Evaluation], Suite], list[Evaluation]]
Forms = dict[str, Callable[[Path], None]]  # by suffix, what writes a product to a path


class Beside(NamedTuple):
    """What a product is made from beside records. claims: claims.json.  captions: of figures, the .txt beside each.

    records: the files of the records, in their order.  single_file: whether a page holds its pictures.
    """

    claims: Path | None = None
    captions: Sequence[Path] = ()
    records: Sequence[Path] = ()
    single_file: bool = False


Make = Callable[[list[Run], Beside], Forms]
Drawn = tuple["Figure", str]  # and its caption
Draw = Callable[[list[Run]], Drawn]


class Product(NamedTuple):
    """words: what it is, in a line.  needs: of a suite's evaluations those that it is made from, none where it cannot be.

    module: where it is written, whose code decides whether it is stale.
    """

    name: str
    words: str
    module: str
    needs: Needs
    make: Make


PRODUCTS: dict[str, Product] = {}
FIGURES: dict[str, Draw] = {}


def product(name: str, needs: Needs) -> Callable[[Make], Make]:
    """Registers a function from records to the forms of a product; the first line of its docstring says what it is."""

    def register(make: Make) -> Make:
        PRODUCTS[name] = Product(name, _words(make), make.__module__, needs, make)
        return make

    return register


def figure(name: str, needs: Needs) -> Callable[[Draw], Draw]:
    """Registers a function from records of one data set to a drawing and its caption; `figure05` is the paper's Figure 5."""

    def register(draw: Draw) -> Draw:
        @wraps(draw)
        def checked(runs: list[Run]) -> Drawn:
            check_one(runs, title(name))
            return draw(runs)

        def make(runs: list[Run], beside: Beside) -> Forms:
            drawing, caption = checked(runs)
            numbered = f"{title(name)[0].upper()}{title(name)[1:]}. {caption}" if _number(name) else caption
            save = partial(save_figure, drawing)
            return {".png": save, ".svg": save, ".pdf": save, ".txt": text(lambda: numbered + "\n")}

        FIGURES[name] = checked
        PRODUCTS[name] = Product(name, _words(draw), draw.__module__, needs, make)
        return checked

    return register


def title(name: str) -> str:
    """What a figure is called: "figure 5", "the figure of seed agreement"."""
    return f"figure {_number(name)}" if _number(name) else f"the figure of {name.removeprefix('figure_').replace('_', ' ')}"


def _number(name: str) -> int | None:
    digits = name.removeprefix("figure")
    return int(digits) if digits.isdecimal() else None


def _words(function: Callable) -> str:
    return (function.__doc__ or function.__name__).partition("\n")[0].rstrip(".")


def needs(name: str, suite: Suite) -> list[Evaluation]:
    """The evaluations of a suite that a product is made from; none where the suite does not measure what it shows.

    name: of a product, or such as `table1_synthesis`: what `table1` needs of one task.
    """
    product, task = _found(name)
    known = product.needs(evaluations(suite), suite)
    return [evaluation for evaluation in dict.fromkeys(known) if task in ("", evaluation.task, doing(evaluation.task))]


def _found(name: str) -> tuple[Product, str]:
    """A product, and the task that its name ends with, if it is of one alone."""
    whole, _, task = name.rpartition("_")
    return (PRODUCTS[whole], task) if whole in PRODUCTS and task in TASKS else (find(name), "")


def find(name: str) -> Product:
    """SemFlowError for a name that there is not."""
    if name not in PRODUCTS:
        raise SemFlowError(f"there is nothing called {name} to report; there are {', '.join(PRODUCTS)}")
    return PRODUCTS[name]


def chosen(name: str, runs: list[Run]) -> list[Run]:
    """Of records on one data set those that a product is made from; none where they do not hold what it shows.

    Of the suite no more is asked than its own perturbation, which the records tell.
    """
    amplitude = next(iter(own_amplitudes(runs).values()), 0.0)
    suite = cast(Suite, SimpleNamespace(pseudo_mask=SimpleNamespace(amplitude=amplitude)))
    return among(runs, lambda evaluations: find(name).needs(evaluations, suite))


def required(name: str, suite: Suite) -> list[Evaluation]:
    """What `needs` gives; SemFlowError where that is nothing."""
    if found := needs(name, suite):
        return found
    raise SemFlowError(f"suite {suite.suite}: its runs do not hold what {name} shows ({_found(name)[0].words}); add them")


def records(name: str, study: Study) -> list[str]:
    """Where the records of a study lie that a product is made from; none where its suites do not measure what it shows.

    Of several data sets, a product is made from those that name it, or a task of it, in their `outputs`.
    """
    stated = [(study.of(said), said) for said in study.outputs if said in (name, *(f"{name}_{task}" for task in TASKS))]
    if not stated and not (study.several and name in ("table1", "table2", *FIGURES)):
        stated = [(suite, name) for suite in study.suites.values()]
    return list(dict.fromkeys(record_path(one, suite) for suite, said in stated for one in needs(said, suite)))


def evaluation_jobs(study: Study) -> list[Job]:
    """The jobs that evaluate a study; a table does not wait for what it does not show."""
    return jobs(study, {name: records(name, study) for name in ("table2", "table1")})


def notebooks(study: Study) -> list[str]:
    """Those that the workflow executes: one computes headline numbers again; where pictures are small, one opens the paper's
    method."""
    first = next(iter(study.suites.values()))
    return ["review", *["explore"] * (published.subject() in first.methods and not first.is_large)]


def check_outputs(study: Study) -> None:
    """SemFlowError if a file of several data sets names a product that there is not, or that its runs do not hold."""
    for name, dataset in study.outputs.items():
        try:
            required(name, study.suites[dataset])
        except SemFlowError as error:
            raise SemFlowError(f"datasets.{dataset}.outputs names {name}: {error}") from None


def save_figure(drawing: "Figure", path: Path) -> None:
    """Write PNG, SVG or PDF by suffix, without dates, so that the same records give the same file."""
    metadata = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[path.suffix]
    files.write_atomically(path, partial(drawing.savefig, metadata=metadata))


def text(make: Callable[[], str]) -> Callable[[Path], None]:
    """Writes what a function says."""
    return lambda path: files.write_text(path, make())


def csv(make: Callable[[], "DataFrame"]) -> Callable[[Path], None]:
    """Writes a frame."""
    return text(lambda: make().to_csv(index=False, lineterminator="\n"))
