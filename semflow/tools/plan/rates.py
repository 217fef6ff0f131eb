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
Unit = Literal["GPU", "CPU", "core"]


class Rates(NamedTuple):
    """FLOP/s of a device, in bf16 and in float32. unit: what a device is called.  notes: where they come from."""

    bf16: float
    fp32: float
    unit: Unit
    notes: tuple[str, ...]

    def seconds(self, job: Job, suite: Suite) -> float:
        """Of a job on one device; evaluations sample in float32."""
        return job.flops / (self.bf16 if job.batch and computes_in_bf16(suite, self.unit) else self.fp32)


def computes_in_bf16(suite: Suite, unit: Unit) -> bool:
    """Whether the suite trains in bf16, which CPUs do not."""
    return suite.training.precision == "bf16" and unit == "GPU"


def rates_of(study: Study, tflops: float | None = None, measured: Path | None = None, fp32: float | None = None) -> Rates:
    """The rates that a study goes at.

    tflops: TFLOP/s of a GPU in training.  measured: what `semflow bench train --out` wrote.  fp32: TFLOP/s in float32.
    SemFlowError if the file is not that, or of another suite.
    """
    rate, unit, note = _assumed(study)
    if measured is not None:
        rate, device = _read(measured, study)
        unit, note = "CPU" if device == "cpu" else "GPU", f"{_told(rate)} in training, measured on {device} ({measured})"
    elif tflops is not None:
        rate, unit, note = tflops * TERA, "GPU", f"{_told(tflops * TERA)} in training, as stated"
    if fp32 is not None:
        slower = fp32 * TERA
        return Rates(rate, slower, unit, (note, f"{_told(slower)} in float32, in which evaluations sample, as stated"))
    if not any(computes_in_bf16(suite, unit) for suite in study.suites.values()):
        return Rates(rate, rate, unit, (note,))
    slower = rate * FP32_SHARE
    quarter = f"assumed: a quarter of that, {_told(slower)}, in float32, in which evaluations sample"
    return Rates(rate, slower, unit, (note, quarter))


def _assumed(study: Study) -> tuple[float, Unit, str]:
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
