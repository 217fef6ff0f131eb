"""How fast devices compute: as `semflow bench train` measured it, as a user states it, or as assumed and said to be."""

from pathlib import Path
from typing import Literal, NamedTuple

from semflow import files
from semflow.errors import SemFlowError
from semflow.suite import Suite
from semflow.suite.reading import Study
from semflow.tools.plan.workload import Job

TERA = 1e12
LARGE = 350 * TERA  # bf16 training of Stable Diffusion's UNet: 45 % of the 790 TFLOP/s that an H100 or H200 reaches in products
SMALL = 50 * TERA  # of networks of a few hundred channels, which wait for memory
FP32_SHARE = 0.25  # of the bf16 rate: convolutions (55 %) in TF32 at a half of it, products in float32 at a seventh
CORE = 0.036 * TERA  # float32 on one core: mini's training loop, see the README


class Rates(NamedTuple):
    """FLOP/s. bf16, fp32: of a device.  core: of a CPU core.  unit: what a device is called.  notes: where they come from."""

    bf16: float
    fp32: float
    core: float
    unit: Literal["GPU", "CPU", "core"]
    notes: tuple[str, ...]

    def seconds(self, job: Job, suite: Suite) -> float:
        """Of a job on one device; of one that takes none, on one core."""
        if job.where == "cpu":
            return job.flops / self.core
        half = job.where == "training" and computes_in_bf16(suite, self)
        return job.flops / (self.bf16 if half else self.fp32) + job.cpu_flops / self.core

    def alone(self, job: Job) -> bool:
        """Whether a job takes none of the devices."""
        return job.where == "cpu" and self.unit == "GPU"


def computes_in_bf16(suite: Suite, rates: Rates) -> bool:
    """Whether the suite trains in bf16, which CPUs do not."""
    return suite.training.precision == "bf16" and rates.unit == "GPU"


def rates_of(study: Study, tflops: float | None = None, measured: Path | None = None, fp32: float | None = None) -> Rates:
    """The rates that a study goes at.

    tflops: TFLOP/s of a GPU in training.  measured: what `semflow bench train --out` wrote.  fp32: TFLOP/s in float32.
    SemFlowError if the file is not that, or of another suite.
    """
    if measured is not None:
        rate, device = _read(measured, study)
        unit: Literal["GPU", "CPU", "core"] = "CPU" if device == "cpu" else "GPU"
        note = f"{_told(rate)} in training, measured on {device} ({measured})"
    elif tflops is not None:
        rate, unit, note = tflops * TERA, "GPU", f"{_told(tflops * TERA)} in training, as stated"
    else:
        rate, unit, note = _assumed(study)
    half = any(suite.training.precision == "bf16" for suite in study.suites.values()) and unit == "GPU"
    notes, slower = [note], rate * FP32_SHARE if half else rate
    if fp32 is not None:
        slower = fp32 * TERA
        notes.append(f"{_told(slower)} in float32, in which evaluations sample, as stated")
    elif half:
        notes.append(f"assumed: a quarter of that, {_told(slower)}, in float32, in which evaluations sample")
    if unit == "GPU":
        notes.append(f"assumed: {_told(CORE)} a CPU core, where controls are evaluated and distances resampled")
    return Rates(rate, slower, CORE if unit == "GPU" else slower, unit, tuple(notes))


def _assumed(study: Study) -> tuple[float, Literal["GPU", "core"], str]:
    """(FLOP/s, of what, why) by the size of the study's networks."""
    if any(suite.network.kind == "stable_diffusion" for suite in study.suites.values()):
        reason = "45 % of the 790 that an H100 or H200 reaches in products of matrices"
        return LARGE, "GPU", f"assumed: {_told(LARGE)} in bf16 training, {reason}"
    if any(suite.training.precision == "bf16" for suite in study.suites.values()):
        return SMALL, "GPU", f"assumed: {_told(SMALL)} in bf16 training, since small layers wait for memory"
    return CORE, "core", f"assumed: {_told(CORE)} a CPU core, as mini's training loop was measured"


def _read(path: Path, study: Study) -> tuple[float, str]:
    """(FLOP/s, device) of a file of `semflow bench train`."""
    what = "file of `semflow bench train --out`"
    match bench := files.read_json(path, what):
        case {"flops_per_s": int() | float() as rate, "device": str(device), "suite": str(suite)} if rate > 0:
            pass
        case _:
            raise SemFlowError(f"{path} is no {what}: it has no flops_per_s above 0, device and suite")
    if suite != study.name:
        raise SemFlowError(f"{path} was measured on the suite {suite}, not on {study.name}; measure that, or give --tflops")
    sizes = [list(one.data.size) for one in study.suites.values()]
    if bench.get("size", sizes[0]) not in sizes:
        raise SemFlowError(f"{path} was measured at size {bench['size']}, but {study.name} has {sizes}; measure it again")
    return float(rate), device


def _told(rate: float) -> str:
    return f"{rate / TERA:,.4g} TFLOP/s"
