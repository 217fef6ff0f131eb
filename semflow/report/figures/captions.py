"""What captions say alike: suite, data, models, samplers and seeds, and how the paper's data differ."""

from semflow.claims.collect import Run, images_of, listed, method_title, same_data, size_of
from semflow.evaluation.records import Record
from semflow.method.samplers import Sampler
from semflow.report.selection import place

# By figure, what the paper says it was made on; of the figures not named here it does not say.
PAPERS_DATA = {
    2: ("COCO-Stuff",), 3: ("Cityscapes",), 4: ("CelebAMask-HQ",), 6: ("COCO-Stuff", "Cityscapes"),
    7: ("COCO-Stuff", "Cityscapes"), 11: ("Cityscapes",), 12: ("Cityscapes",),
}  # fmt: skip
ALL_PAPERS_DATA = ("COCO-Stuff", "CelebAMask-HQ", "Cityscapes")


def setting(runs: list[Run]) -> str:
    """Two sentences: suite and data; models, samplers and seeds. Controls have no model and are left out."""
    first, models = runs[0].record, [run.record for run in runs if run.record.n_parameters is not None]
    models.sort(key=lambda record: place(record.method, record.sampler, record.steps))
    methods = listed(map(_model, _by_method(models)))
    seeds = [_seeds("training", {record.training_seed for record in models})]
    if sampled := {record.sampling_seed for record in models if record.task != "seed_agreement"}:  # which draws seeds of its own
        seeds.append(_seeds("sampling", sampled))
    return f"Suite {first.suite}: {first.dataset} at {size_of(first)}, {images_of(first)}. {methods}; {', '.join(seeds)}."


def papers_data(record: Record, figure: int) -> str:
    """A sentence where the paper's figure is not on the record's data, else nothing."""
    if any(same_data(record.dataset, name) for name in PAPERS_DATA.get(figure, ALL_PAPERS_DATA)):
        return ""
    if figure in PAPERS_DATA:
        return f"The paper's Figure {figure} is on other data, {listed(PAPERS_DATA[figure])}."
    return f"The paper's Figure {figure} is on other data; it does not say which of {listed(ALL_PAPERS_DATA)}."


def tolerance(runs: list[Run]) -> str:
    """A sentence on the tolerance of a solver that chooses its own steps, where there is one."""
    known = sorted({run.record.settings["tolerance"] for run in runs if "tolerance" in run.record.settings})
    return f"RK45's relative and absolute tolerance is {listed(f'{value:g}' for value in known)}." if known else ""


def joined(*sentences: str) -> str:
    """One paragraph, empty sentences left out."""
    return " ".join(filter(None, sentences))


def _by_method(records: list[Record]) -> list[list[Record]]:
    methods: dict[str, list[Record]] = {}
    for record in records:
        methods.setdefault(record.method, []).append(record)
    return list(methods.values())


def _model(records: list[Record]) -> str:
    """Such as "SemFlow (1,000 parameters, trained with b = 0 and 6) by Euler-1/25 and RK45"."""
    amplitudes = sorted({record.amplitude for record in records})
    trained = f", trained with b = {listed(f'{b:g}' for b in amplitudes)}" if any(amplitudes) else ""
    samplers: dict[str, set[int]] = {}
    for record in records:
        samplers.setdefault(record.sampler, set()).add(record.steps)
    name = method_title(records[0].method)
    return f"{name} ({records[0].n_parameters:,} parameters{trained}) by {listed(_sampler(*item) for item in samplers.items())}"


def _sampler(name: str, steps: set[int]) -> str:
    return "-".join(filter(None, [Sampler(name).title, "/".join(str(n) for n in sorted(steps) if n)]))


def _seeds(what: str, seeds: set[int]) -> str:
    return f"{what} seed{'s' if len(seeds) > 1 else ''} {listed(sorted(seeds))}"
