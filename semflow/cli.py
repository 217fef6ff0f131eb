"""The command line: one verb a rule. Parses, calls, writes; anything heavy is imported by the verb that needs it."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from baselines import METHODS
from semflow import arguments
from semflow.errors import Interrupted, SemFlowError
from semflow.suite.runs import CONTROL_TITLES
from semflow.training import launch

if TYPE_CHECKING:
    from semflow.suite import Suite


def main(argv: Sequence[str] | None = None) -> None:
    """Run one verb. Exit status 0, 2 for a mistake that is named in one sentence, 130 when interrupted."""
    words = sys.argv[1:] if argv is None else argv
    a = arguments.parser().parse_args(words)
    if getattr(a, "threads", None) and launch.LAUNCHED not in os.environ:
        os.environ["OMP_NUM_THREADS"] = str(a.threads)  # read by torch when it is imported
    try:
        if not ("gpus" in a and launch.prepare(words, *_devices_of(a))):
            VERBS[a.verb](a)
    except Interrupted as stop:
        sys.exit(_say(str(stop), 130))
    except SemFlowError as error:
        sys.exit(_say(str(error), 2))
    except KeyboardInterrupt:
        sys.exit(_say("interrupted", 130))
    except RuntimeError as error:  # torch's, of which only its last words say what happened
        if not any(sign in str(error) for sign in ("out of memory", "allocate memory")):
            raise
        mend = "take a smaller --size, run.micro_batch, evaluation.batch_size or network"
        sys.exit(_say(f"there is not enough memory for this; {mend}", 2))


def _say(sentence: str, status: int) -> int:
    if not launch.tell(sentence, status):
        print(f"semflow: {sentence}", file=sys.stderr)
    return status


def _devices_of(a: argparse.Namespace) -> tuple[int, str]:
    """How many GPUs the verb works on, and the suite's run.device."""
    if "config" not in a:
        return a.gpus, "auto"
    from semflow.suite import reading as config

    suite = config.load(a.config, getattr(a, "dataset", None))
    if getattr(a, "method", None) in (*CONTROL_TITLES, "controls") and suite.autoencoder.kind != "kl":  # nothing to compute
        return 1, "cpu"
    return a.gpus, suite.run.device


def _suite_of(a: argparse.Namespace) -> "Suite":
    """The suite, with masks perturbed as asked for."""
    from semflow.suite import reading as config

    suite = config.load(a.config, a.dataset)
    return suite if a.amplitude is None else config.with_amplitude(suite, a.amplitude)


def _train(a: argparse.Namespace) -> None:
    from semflow.data import open_dataset
    from semflow.training.loop import checkpoints, train

    suite = _suite_of(a)
    checkpoints.check_target(a.out, a.state)
    open_dataset(suite.data, suite.evaluation.split)  # what evaluation will miss is better known before hours of training
    train(suite, a.method, a.seed, a.state, a.out)


def _evaluate(a: argparse.Namespace) -> None:
    from semflow.claims.collect import with_interval
    from semflow.evaluation import evaluate
    from semflow.evaluation.metrics.catalogue import KINDS
    from semflow.method.samplers import DIRECT, Sampler
    from semflow.suite.runs import Evaluation, amplitude_of

    if a.all or a.method == "controls":
        _evaluate_all(a)
        return
    if len(a.out) != 1:
        raise SemFlowError("--out: give one file for the record, or --all for all evaluations of the checkpoint")
    if a.method not in CONTROL_TITLES and not (a.checkpoint and a.sampler):
        raise SemFlowError(f"--checkpoint and --sampler are needed to evaluate {a.method}")
    suite = _suite_of(a)
    sampler = DIRECT if a.method in CONTROL_TITLES else Sampler.parse(a.sampler)
    trained = amplitude_of(suite, a.method)
    if a.sampling_amplitude is not None and a.task != "synthesis":
        raise SemFlowError(f"--sampling-amplitude is for --task synthesis; {a.task} draws nothing")
    drawn = 0.0 if a.task != "synthesis" else trained if a.sampling_amplitude is None else a.sampling_amplitude
    evaluation = Evaluation(a.method, a.task, sampler, trained, drawn, a.training_seed, a.sampling_seed)
    record = evaluate(suite, evaluation, a.checkpoint, a.out[0], a.cache)
    for name, metric in record.metrics.items():
        kind = KINDS[name]
        unit = "" if kind.unit == "none" else f" {kind.unit}"
        print(f"{kind.title} {with_interval(metric.value, metric.low, metric.high, kind.digits)}{unit}")


def _evaluate_all(a: argparse.Namespace) -> None:
    from pathlib import Path

    from semflow.evaluation import evaluate_all
    from semflow.suite import reading as config
    from semflow.suite import runs

    suite, controls = config.load(a.config, a.dataset), a.method == "controls"
    amplitude = runs.amplitude_of(suite, a.method) if a.amplitude is None else a.amplitude
    of = runs.Checkpoint(a.method, amplitude, a.training_seed)
    own = [e for e in runs.evaluations(suite) if (e.is_control if controls else runs.checkpoint_of(e) == of)]
    if not own:
        raise SemFlowError(
            f"{a.config} runs no {a.method} of training seed {of.seed} and amplitude {amplitude:g}; add it to `runs`"
        )
    places = {e: Path(runs.record_path(e, suite)) for e in own}
    wanted = {e: out for out in a.out for e, place in places.items() if out.parts[-5:] == place.parts[-5:]}
    if lost := set(a.out) - set(wanted.values()):
        raise SemFlowError(
            f"--out {min(lost)} is the record of no run of this checkpoint; {next(iter(places.values()))} would be"
        )
    store = a.store or Path(f"results/{suite.suite}/evaluated", suite.data.name)
    trained = config.with_amplitude(suite, amplitude) if not controls and METHODS[a.method].perturbed else suite
    evaluate_all(trained, wanted or places, a.checkpoint, store, a.cache)


def _convert(a: argparse.Namespace) -> None:
    from semflow.suite import reading as config
    from semflow.tools.convert import convert
    from semflow.training import checkpoints

    suite = config.load(a.config, a.dataset)
    checkpoints.check_target(a.out)
    convert(a.file, suite, a.method, a.out)
    print(a.out)


def _data_check(a: argparse.Namespace) -> None:
    from semflow.tools.check import check

    report = check(a.name, a.root, _size_of(a), a.all, a.subset, a.out)
    print("\n".join(report.lines))
    for problem in report.problems:
        _say(problem, 1)
    sys.exit(1 if report.problems else 0)


def _data_prepare(a: argparse.Namespace) -> None:
    from semflow.tools.prepare import prepare

    manifest = prepare(a.name, a.root, a.out)
    counts = ", ".join(f"{split} {facts['pairs']:,}" for split, facts in manifest["splits"].items())
    how_many = "as" if manifest["official"] else "not as many as"
    print(f"{a.name} is in place: {counts} pairs, {how_many} officially; counted, not read: `semflow data check` reads some")


def _report(a: argparse.Namespace) -> None:
    from semflow.report import write as report

    report.write(a.what, a.records, a.out, table=a.table, claims=a.claims, captions=a.captions)


def _check_drift(a: argparse.Namespace) -> None:
    from semflow.claims import drift
    from semflow.claims.collect import read_runs

    reference = drift.read(a.reference)
    check = drift.check(drift.reference_of(read_runs(a.records)), reference)
    print(check.text())
    sys.exit(check.status)


def _accept_reference(a: argparse.Namespace) -> None:
    from semflow.claims import drift
    from semflow.claims.collect import read_runs

    print(drift.accept(read_runs(a.records), a.reference, a.reason))


def _segment(a: argparse.Namespace) -> None:
    from semflow.tools.pictures import segment

    segment(a.image, a.checkpoint, a.sampler, a.seed, _size_of(a), a.out)


def _synthesize(a: argparse.Namespace) -> None:
    from semflow.tools.pictures import synthesize

    synthesize(a.labels, a.checkpoint, _solver_of(a), a.seeds, _size_of(a), a.out)


def _trajectory(a: argparse.Namespace) -> None:
    from semflow.tools.pictures import trajectory

    trajectory(a.image, a.checkpoint, _solver_of(a), _size_of(a), a.out)


def _roundtrip(a: argparse.Namespace) -> None:
    from semflow.tools.pictures import roundtrip

    roundtrip(a.image, a.checkpoint, _solver_of(a), a.seed, _size_of(a), a.out)


def _solver_of(a: argparse.Namespace) -> str:
    if a.solver != "rk45":
        return f"{a.solver}-{a.steps or 25}"
    if a.steps:
        raise SemFlowError(f"rk45 chooses its own steps; leave --steps {a.steps} out")
    return str(a.solver)


def _size_of(a: argparse.Namespace) -> tuple[int, int] | None:
    return tuple(a.size) if a.size else None


def _info(a: argparse.Namespace) -> None:
    from semflow.tools.pictures import describe

    print(describe(a.checkpoint))


def _bench(a: argparse.Namespace) -> None:
    from semflow import files
    from semflow.suite import reading as config
    from semflow.tools import bench

    suite = config.load(a.config, a.dataset)
    suite = bench.synthetic(suite) if a.synthetic else suite
    measured = {"train": bench.train, "sample": bench.sample, "load": bench.load}[a.what](suite, a.method, a.repeats)
    print(measured.text)
    if a.out:
        files.write_json(a.out, measured.numbers)


def _plan(a: argparse.Namespace) -> None:
    from semflow.suite import reading as config
    from semflow.tools import plan

    study = config.load_study(a.config)
    made = plan.make_plan(study, a.devices, plan.rates_of(study, a.tflops, a.measured, a.fp32_tflops), a.efficiency)
    if a.json:
        made.write(a.json)
    print(made.text())


VERBS: dict[str, Callable[[argparse.Namespace], None]] = {
    "train": _train,
    "evaluate": _evaluate,
    "convert": _convert,
    "data check": _data_check,
    "data prepare": _data_prepare,
    "report": _report,
    "check_drift": _check_drift,
    "accept_reference": _accept_reference,
    "segment": _segment,
    "synthesize": _synthesize,
    "trajectory": _trajectory,
    "roundtrip": _roundtrip,
    "info": _info,
    "bench": _bench,
    "plan": _plan,
}
