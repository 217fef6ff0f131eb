"""Labels to images, compared with the real ones: as sets, in pairs, and by what the method itself reads in them."""

from collections import defaultdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semflow.data.sample import IGNORE_INDEX
from semflow.evaluation.common import BOOTSTRAP_SEED, Measurement, ShownStates
from semflow.evaluation.controls import OUTPUTS
from semflow.evaluation.features import BATCH
from semflow.evaluation.metrics import appearance
from semflow.evaluation.metrics.catalogue import ENOUGH_FOR_FRECHET, named
from semflow.evaluation.metrics.distances import among, frechet_draws, kernel_draws
from semflow.evaluation.metrics.fidelity import NEIGHBOURS, compare_sets
from semflow.evaluation.metrics.intervals import bootstrap_mean, resamples
from semflow.evaluation.metrics.segmentation import confusions, sparse_rows
from semflow.evaluation.records import Arrays, Protocol, Record
from semflow.loading.pixels import to_bytes, to_unit_range
from semflow.method.solvers import time_grid
from semflow.progress import Progress
from semflow.seeds import generator
from semflow.suite.runs import main_sampler

SUBSET_SIZE = 1000  # of KID, or as many images as there are
DISTANCE_DRAWS = 100  # enough to know a standard deviation to 7 %; each costs a decomposition
INTERVAL = (
    "95 % bootstrap: percentiles for means (of precision and recall with neighbourhoods held fixed), 1.96 standard deviations of "
    "{} draws to either side for distances between sets (none for the Frechet distance of fewer than {:,} images),"
)


def measure(run: Measurement, out: Path) -> Record:
    """Draw a picture from every label map of the suite's evaluation split and score them."""
    suite, scores = run.suite, Scores(run)
    if run.is_control:
        drawn, states = OUTPUTS[run.evaluation.method](run), None
    else:
        drawn, states, of_path = _synthesize(run)
        for name, values in of_path.items():
            scores.add_mean(name, values)
    features, distances = run.session.see(drawn)
    scores.add_sets(features)
    scores.add_mean(named("perceptual", suite.synthesis.perceptual.network), distances)
    scores.add_mean("brightness", appearance.brightness(drawn).numpy())
    scores.add_mean("clipped", appearance.clipped(drawn).numpy())
    scores.add_mean("detail", appearance.detail(drawn, run.labels).numpy())
    scores.add_mean("detail_gap", appearance.detail_gap(drawn, run.images, run.labels).numpy())
    matrices, evaluations, wall_s = None, run.evaluations, run.wall_s
    if run.is_main:
        for name, values in _diagnosed(run).items():
            scores.add_mean(name, values)
        scores.values |= _leads(run)
        # Elsewhere it would cost more than all else.
        layouts = run.examples(suite.synthesis.diversity.layouts)
        scores.add_mean(named("diversity", suite.synthesis.perceptual.network), _diversity(run, layouts), layouts)
    if run.card is not None and "segmentation" in run.card.tasks:
        matrices = sparse_rows(confusions(_segment(run, drawn), run.labels, len(run.dataset.names)))
        scores.values["round_trip_miou"], scores.draws["round_trip_miou"] = run.score("miou", matrices)
    run.evaluations, run.wall_s = evaluations, wall_s  # of drawing each picture once
    arrays = Arrays(
        run.units, scores.draws, run.images[run.shown].numpy(), run.labels[run.shown].numpy(), drawn[run.shown].numpy(),
        scores.per_image, matrices, states,
    )  # fmt: skip
    protocol = _protocol(run)
    return run.write(out, scores.values, arrays, drawn, protocol, len(run.dataset), scores.reasons)


class Scores:
    """Values and bootstrap draws by metric, as they are gathered; and why there is no value."""

    def __init__(self, run: Measurement) -> None:
        self.run = run
        self.values: dict[str, float] = {}
        self.draws: dict[str, np.ndarray] = {}
        self.per_image: dict[str, np.ndarray] = {}
        self.reasons: dict[str, str] = {}

    def add_mean(self, name: str, values: np.ndarray, positions: np.ndarray | None = None) -> None:
        """The mean of one value an image, or of one for the images at `positions`."""
        units = self.run.units if positions is None else np.unique(self.run.units[positions], return_inverse=True)[1]
        self.per_image[name] = values
        self.values[name] = float(np.mean(values, dtype=np.float64))
        self.draws[name] = bootstrap_mean(values, units, self.run.n_samples, BOOTSTRAP_SEED)

    def add_sets(self, features: np.ndarray) -> None:
        """Distances between the drawn images, by their features (n, d), and the real ones as sets, precision and recall."""
        real = self.run.session.real_features
        found, units = compare_sets(features, real, min(SUBSET_SIZE, len(real))), self.run.units
        counts = [row[units] for part in resamples(units, DISTANCE_DRAWS, BOOTSTRAP_SEED) for row in part]
        self._add("mmd2", found.mmd2, kernel_draws(features, real, counts))
        self._add("frechet", found.frechet, frechet_draws(features, real, counts) if len(real) >= ENOUGH_FOR_FRECHET else None)
        for name, share, (x, y) in (("precision", found.precision, (features, real)), ("recall", found.recall, (real, features))):
            if share is None:
                self._add(name, np.nan, None)
                self.reasons[named(name, self.run.suite.synthesis.features.network)] = f"it needs more than {NEIGHBOURS} images"
                continue
            inside = 100.0 * among(x, y, NEIGHBOURS)
            self._add(name, 100 * share, bootstrap_mean(inside, units, self.run.n_samples, BOOTSTRAP_SEED))

    def _add(self, role: str, value: float, draws: np.ndarray | None) -> None:
        name = named(role, self.run.suite.synthesis.features.network)
        self.values[name] = value
        if draws is not None:
            self.draws[name] = draws


def _synthesize(run: Measurement) -> tuple[Tensor, np.ndarray | None, dict[str, np.ndarray]]:
    """Images uint8 (n, 3, H, W); at the main sampler, also states on the way to those that are shown, and what every path is
    like, by metric (n,)."""
    if run.card is None or not run.card.trajectory:
        return pictures_of(run, np.arange(len(run.dataset)), "synthesize", "sample", run.evaluation.sampling_seed), None, {}
    model, sampler, kept = run.model, run.evaluation.sampler, ShownStates(run.model, run.shown)
    # Few steps are straight by construction: only the main sampler can tell.
    tells = run.keeps_states and sampler.name in run.card.velocities
    rows, of_path = list[Tensor](), defaultdict[str, list[Tensor]](list)
    for number, positions in run.batches(np.arange(len(run.dataset)), "synthesize"):
        source = generator(run.device, "sample", run.evaluation.sampling_seed, number)
        measures: dict[str, Any] = {"straightness": appearance.Straightness(time_grid(sampler.steps))} if tells else {}
        measures |= {"path_length_excess": appearance.PathLength()} if run.keeps_states else {}
        states: list[Tensor] = []
        with torch.inference_mode():
            labels = run.labels[positions].to(run.device)
            z1 = model.encode_labels(labels, source, run.evaluation.sampling_amplitude)
            for z in model.path(z1, sampler, reverse=True):
                for measure in measures.values():
                    measure.add(z)
                states = [*states, z] if run.keeps_states else [z]
            rows.append(to_bytes(model.to_images(states[-1])).cpu())
            if run.keeps_states:
                kept.add(positions, states)
                of_path["label_recovery"].append(_recovered(model.to_labels(z1), labels))
        for name, measure in measures.items():
            of_path[name].append(measure.value().cpu())
    states_kept = kept.arrays() if run.keeps_states else None
    return torch.cat(rows), states_kept, {name: torch.cat(values).cpu().numpy() for name, values in of_path.items()}


def _recovered(read: Tensor, labels: Tensor) -> Tensor:
    """Per cent of the pixels with a label, of every layout, that are read back from its (perturbed, encoded) mask; (B,)."""
    counted = labels != IGNORE_INDEX
    right = ((read == labels) & counted).sum((1, 2))
    return 100 * right.double() / counted.sum((1, 2)).clamp(min=1)


def pictures_of(run: Measurement, positions: np.ndarray, what: str, *seeds: object) -> Tensor:
    """Images uint8 (n, 3, H, W) of the label maps at `positions`."""
    options = {"amplitude": run.evaluation.sampling_amplitude} if run.card is not None and run.card.perturbed else {}
    rows = []
    for number, part in run.batches(positions, what):
        source = generator(run.device, *seeds, number)
        with torch.inference_mode():
            drawn = run.model.synthesize(run.labels[part].to(run.device), run.evaluation.sampler, source, **options)
        rows.append(to_bytes(drawn).cpu())
    return torch.cat(rows)


def _segment(run: Measurement, drawn: Tensor) -> Tensor:
    """The method's own labels of what it drew, by the suite's main sampler, uint8 (n, H, W)."""
    rows = []
    for number, positions in run.batches(np.arange(len(drawn)), "segment what was drawn by"):
        source = generator(run.device, "round trip", run.evaluation.sampling_seed, number)
        with torch.inference_mode():
            images = to_unit_range(drawn[positions].to(run.device))
            rows.append(run.model.segment(images, main_sampler(run.evaluation.method, "segmentation"), source).cpu())
    return torch.cat(rows)


def _diagnosed(run: Measurement) -> dict[str, np.ndarray]:
    """What the method itself says of how well it is trained, by metric, one value an image (n,)."""
    rows = defaultdict[str, list[Tensor]](list)
    if not hasattr(run.model, "diagnose"):
        return {}
    for number, positions in run.batches(np.arange(len(run.dataset)), "diagnose"):
        with torch.inference_mode():
            images = to_unit_range(run.images[positions].to(run.device))
            told = run.model.diagnose(images, run.labels[positions].to(run.device), generator(run.device, "diagnose", number))
        for name, values in told.items():
            rows[name].append(values.cpu())
    return {name: torch.cat(values).numpy() for name, values in rows.items()}


def _leads(run: Measurement) -> dict[str, float]:
    """How far below chance the losses of each discriminator lay over the last fifth of the training, in per cent: 0 if it could
    not tell, 100 if it always could."""
    trained = run.session.card
    losses = trained.budget.losses if trained is not None and trained.budget is not None else {}
    leads = {}
    for metric, chance in getattr(run.model, "chance", {}).items():
        if chance.keys() <= losses.keys():
            ends = [losses[name][-max(1, len(losses[name]) // 5) :] for name in chance]
            leads[metric] = 100 * (1 - sum(np.mean(end) for end in ends) / sum(chance.values()))
    return leads


def _diversity(run: Measurement, layouts: np.ndarray) -> np.ndarray:
    """Mean distance between two of several pictures of one layout, for every layout; (n_layouts,)."""
    seed, n_samples = run.evaluation.sampling_seed, run.suite.synthesis.diversity.samples
    samples = [pictures_of(run, layouts, "draw again", "diversity", seed, number) for number in range(n_samples)]
    perceptual, rows = run.session.perceptual, list[Tensor]()
    with torch.inference_mode(), Progress("compare", len(layouts)) as progress:
        for parts in zip(*(sample.split(BATCH) for sample in samples), strict=True):
            looks = [perceptual.look(part) for part in parts]
            rows.append(torch.stack([perceptual.between(a, b).cpu() for a, b in combinations(looks, 2)]).mean(0))
            progress.update(len(parts[0]))
    return torch.cat(rows).numpy()


def _protocol(run: Measurement) -> Protocol:
    """The same for every method, so that records can be compared."""
    settings, session = run.suite.synthesis, run.session
    n_samples, n_layouts = settings.diversity.samples, len(run.examples(settings.diversity.layouts))
    features, pairs = settings.features.network, settings.perceptual.network
    h, w = run.suite.data.size
    return run.protocol(
        {
            named("frechet", features): f"drawn and real images, both uint8 RGB {h} x {w}, resized by the network's own rule",
            named("mmd2", features): f"subsets of {min(SUBSET_SIZE, len(run.dataset))} images",
            named("precision", features): f"drawn images, within {NEIGHBOURS} neighbours of a real one",
            named("recall", features): f"real images, within {NEIGHBOURS} neighbours of a drawn one",
            "detail": "pixels whose eight neighbours have their label",
            named("perceptual", pairs): "pairs of a drawn image and the real one of its layout",
            named("diversity", pairs): f"pairs of {n_samples} samples of a layout, {n_layouts} layouts",
            "round_trip_miou": "classes present in the layouts, as the method's own main sampler segments what it drew",
            "path_length_excess": "all steps of the main sampler, in latents",
            "label_recovery": "pixels with a label, read back from the mask that synthesis begins with",
            "straightness": "latent elements and the steps of the main sampler, v as each step took it",
        },
        {
            role: f"{network.name}, SHA-256 {network.sha256}"
            for role, network in (("features", session.extractor), ("pairs", session.perceptual))
        },
        INTERVAL.format(DISTANCE_DRAWS, ENOUGH_FOR_FRECHET),
    )
