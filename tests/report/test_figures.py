"""Figures from records made by hand."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from semflow.errors import SemFlowError
from semflow.report.figures import FIGURES, panels, save_figure


def test_curves_draw_measured_and_published_in_two_panels_with_one_scale(runs):
    figure, caption = FIGURES["figure_table2"](runs)
    measured, paper = figure.axes
    assert len(paper.lines) == 3
    assert len(measured.collections) == 2  # a band each
    assert measured.get_ylim() == paper.get_ylim()
    assert measured.get_ylim()[0] == 0
    assert "not values" in caption


def test_a_band_is_the_interval_of_the_record_below_it(given):
    (run,) = [run for run in given["figure12"] if run.record.method == "semflow"][:1]
    figure, _ = FIGURES["figure_table2"]([run])
    metric, (band,) = run.record.metrics["miou"], figure.axes[0].collections
    ends = band.get_paths()[0].vertices[:, 1]
    assert (min(ends), max(ends)) == pytest.approx((metric.low, metric.high))


def test_a_method_that_the_paper_does_not_have_is_drawn_too(runs):
    other = [run._replace(record=run.record.model_copy(update={"method": "other"})) for run in runs if run.record.steps]
    figure, _ = FIGURES["figure_table2"]([*runs, *other])
    measured, paper = figure.axes
    assert len(measured.collections) == 4
    assert {"other Euler", "other DDPM"} <= {text.get_text() for text in figure.legends[0].get_texts()}
    assert len(paper.lines) == 3


def test_figure_2_shows_image_truth_semflow_once_and_dsm_under_every_seed(runs):
    figure, _ = FIGURES["figure02"](runs)
    titles = [axes.get_title() for axes in figure.axes[:5]]
    assert titles == ["image", "ground truth", "SemFlow\nEuler-25\nevery seed", "DSM\nDDPM-25\nseed 0", "DSM\nDDPM-25\nseed 1"]
    assert len(figure.axes) == 2 * 5  # two stored examples


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_records_give_the_same_file(runs, tmp_path, suffix):
    for name in ("a", "b"):
        figure, _ = FIGURES["figure02"](runs)
        save_figure(figure, tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_curves_without_one_of_their_metrics_are_refused(given):
    lacking = []
    for run in given["training_amplitudes"]:
        kept = {name: metric for name, metric in run.record.metrics.items() if not name.startswith("diversity")}
        lacking.append(run._replace(record=run.record.model_copy(update={"metrics": kept})))
    with pytest.raises(SemFlowError, match="SemFlow Euler-25 .* hold no diversity; give those of the suite's main sampler"):
        FIGURES["training_amplitudes"](lacking)


def test_no_pixel_of_a_large_picture_is_lost():
    """A white picture with black lines of one pixel, drawn: every line is there."""
    pixels = np.full((1, 40, 512, 3), 255, np.uint8)
    pixels[:, :, 100:400:7] = 0
    figure = panels.draw([panels.Column("lines", pixels)])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = figure.axes[0].get_window_extent()
    rows = np.asarray(canvas.buffer_rgba())[::-1]
    across = rows[round((box.y0 + box.y1) / 2), :, 0] < 128
    lines = np.flatnonzero(np.diff(across.astype(int)) == 1)
    assert ((box.x0 <= lines) & (lines <= box.x1)).sum() == len(range(100, 400, 7))


def test_figure_2_without_several_seeds_is_refused(runs, tmp_path):
    with pytest.raises(SemFlowError, match="several sampling seeds"):
        FIGURES["figure02"](runs[2:3])


NAMES = tuple(FIGURES)
NOISE = np.random.default_rng(0).normal(0, 0.1, 400)  # of every draw of made-up synthesis


def but(run, **fields):
    """The same run with other values in its record."""
    return run._replace(record=run.record.model_copy(update=fields))


def holding(run, **arrays):
    """The same run with other arrays."""
    return run._replace(arrays=replace(run.arrays, **arrays))


def kept_losses(run, **losses):
    """The same run of a training whose mean losses were these."""
    return but(run, budget=run.record.budget.model_copy(update={"losses": losses}))


def scoring(run, name, value):
    """The same run with another value of a metric."""
    metrics = run.record.metrics
    return but(run, metrics=metrics | {name: metrics[name].model_copy(update={"value": value})})


def filled(run, grey):
    """The same run, whose drawn pictures are of one grey."""
    return holding(run, outputs=np.full_like(run.arrays.outputs, grey))


@pytest.fixture
def given(make_synthesis, make_seed_agreement, real, runs):
    """For every figure, runs such as it asks for; each picture a grey of its own."""
    main = [filled(make_synthesis(sampling_seed=seed), 100 + seed) for seed in range(3)]
    in_one_step, perfect = runs[2], runs[0]  # of 50 and 100 %
    segmented = but(in_one_step, steps=25, evaluations=25.0)
    by_steps = [filled(make_synthesis(20.0 / n, steps=n), 10 + n) for n in (5, 1, 2)]
    solvers = [("midpoint", 2, 4.0), ("midpoint", 12, 24.0), ("heun", 12, 24.0), ("rk45", 0, 37.5)]
    drawn_by = [make_synthesis(8.0, name, n, evaluations=cost) for name, n, cost in solvers]
    segmented_by = [but(perfect, sampler=name, steps=n, evaluations=cost) for name, n, cost in solvers]
    trained = [
        make_synthesis(9.0 + b + seed, b=b, drawn_with=b, sampling_seed=seed) for b in (20.0, 0.0, 6.375) for seed in (0, 1)
    ]
    segmented_at = [but(segmented, amplitude=b) for b in (0.0, 6.375, 20.0)]
    sampled = [
        scoring(filled(make_synthesis(drawn_with=b, sampling_seed=seed), int(b) + seed), "brightness", 90 + 2 * b)
        for b in (12.0, 0.0, 3.0, 6.0)
        for seed in (0, 1)
    ]
    return {
        "figure02": runs[:5],
        "figure_table2": runs,
        "figure03": [segmented, *main],
        "figure04": [*segmented_at, *trained],
        "figure05": [*main, *by_steps],
        "figure06": main,
        "figure07": [segmented],
        "figure08": sampled,
        "figure09": [by_steps[1]],
        "figure10": [segmented, *main, *drawn_by, *segmented_by],
        "figure11": main,
        "figure12": [segmented],
        "losses": [kept_losses(run, loss=(2.0, 1.0)) for run in (segmented, but(segmented, method="dsm", sampler="ddpm"))],
        "systems": [*main[:1], but(filled(main[0], 7), method="pix2pixhd", sampler="direct", steps=0)],
        "training_amplitudes": [*segmented_at, *trained, real],
        "sampling_amplitudes": [*sampled, real],
        "evaluations": [segmented, in_one_step, *main, *by_steps, *segmented_by, *drawn_by, real],
        "variants": [segmented, but(segmented, variant="double"), *main, *(but(run, variant="double") for run in main)],
        "seed_agreement": [
            make_seed_agreement("dsm", "ddpm", 72.5), make_seed_agreement("semflow", "euler", 100.0),
            make_seed_agreement("dsm", "ddim", 99.999),
        ],
    }  # fmt: skip


SOLVERS = ["Euler-25\n25 evaluations", "midpoint-12\n24 evaluations", "Heun-12\n24 evaluations", "RK45\n37.5 evaluations"]
HEADS = {
    "systems": ["layout", "real image", "SemFlow", "pix2pixHD"],
    "figure03": ["image", "ground truth", "segmented", "errors", "drawn"],
    "figure04": ["layout", "real image", *(f"b = {b}\nseed {seed}" for b in ("0", "6.375") for seed in (0, 1))],
    "figure05": ["layout", "real image", "Euler-1", "Euler-2", "Euler-5", "Euler-25"],
    "figure06": ["layout", "t = 1.00", "t = 0.52", "t = 0.00"],  # of 25 steps, 12.5 is kept as 12
    "figure07": ["t = 0.00", "t = 0.48", "t = 1.00", "labels read", "ground truth"],
    "figure08": [
        *("layout", "real image", "b' = 0 b\nbrightness 90.0", "b' = 0.5 b\nbrightness 96.0"),
        *("b' = 1 b\nbrightness 102.0", "b' = 2 b\nbrightness 114.0"),
    ],
    "figure09": ["layout", "real image", "Euler-1"],
    "figure10": [*(["layout", "real image"] + SOLVERS), *(["image", "ground truth"] + SOLVERS)],
    "figure11": ["layout", "real image", "seed 0", "seed 1", "seed 2"],
    "figure12": ["image", "ground truth", "Euler-25", "errors"],
}  # fmt: skip


def heads(figure):
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def column(figure, head):
    """The pictures below a head, one an example."""
    first = next(number for number, axes in enumerate(figure.axes) if axes.get_title() == head)
    return [axes.images[0].get_array() for axes in figure.axes[first :: len(heads(figure))]]


def greys(figure):
    """Of the drawn pictures in the first row, whose every pixel is alike; -1 where it is not."""
    first = [np.unique(axes.images[0].get_array()) for axes in figure.axes[: len(heads(figure))]]
    return [int(values[0]) if len(values) == 1 else -1 for values in first]


def panel(figure, title):
    return next(axes for axes in figure.axes if axes.get_title() == title)


def points(axes, label):
    """(x, value, low, high) of every point of a labelled curve."""
    curve = next(container for container in axes.containers if container.get_label() == label)
    line, _, (bars,) = curve.lines
    return [(*point, *bar[:, 1]) for point, bar in zip(line.get_xydata(), bars.get_segments(), strict=True)]


def dashed(axes):
    """Where the lines of controls lie, which go from side to side."""
    across = [line for line in axes.lines if list(line.get_xdata()) == [0, 1]]
    return [line.get_ydata()[0] for line in across if line.get_linestyle() == "--"]


def test_every_figure_of_the_paper_that_shows_a_result_is_drawn(given):
    assert {f"figure{number:02}" for number in range(2, 13)} < FIGURES.keys() == given.keys()


@pytest.mark.parametrize("name", HEADS)
def test_columns_have_their_heads_and_rows_the_numbers_of_the_examples(given, name):
    figure, _ = FIGURES[name](given[name])
    assert heads(figure) == HEADS[name]
    assert len(figure.axes) == 2 * len(HEADS[name])  # two stored examples
    numbers = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert numbers == ["1", "2"] * (2 if name == "figure10" else 1)


@pytest.mark.parametrize("name", ["figure02", *HEADS])
def test_pictures_are_whole_and_of_one_size(given, name):
    figure, _ = FIGURES[name](given[name])
    for axes in figure.axes:
        inches = axes.get_position().size * figure.get_size_inches()
        assert inches == pytest.approx([1.1, 1.1 * 4 / 6])
        assert (axes.get_xlim(), axes.get_ylim()) == ((-0.5, 5.5), (3.5, -0.5))
        assert axes.images[0].get_interpolation() == "nearest"


@pytest.mark.parametrize("name", ["figure02", *HEADS])
def test_heads_lie_within_the_figure_and_clear_of_each_other(given, name):
    figure, _ = FIGURES[name](given[name])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [axes.title.get_window_extent() for axes in figure.axes if axes.get_title()]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)
    assert not any(a.overlaps(b) for number, a in enumerate(boxes) for b in boxes[:number])
    assert not any(box.overlaps(axes.get_window_extent()) for box in boxes for axes in figure.axes)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_records_changes_no_byte_and_no_word(given, tmp_path, name):
    captions = []
    for number, runs in enumerate((given[name], given[name][::-1])):
        figure, caption = FIGURES[name](runs)
        save_figure(figure, tmp_path / f"{number}.png")
        captions.append(caption)
    assert captions[0] == captions[1]
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()


@pytest.mark.parametrize("name", ["figure02", *HEADS])
def test_pictures_are_of_the_lowest_training_seed_alone(given, name):
    others = [but(filled(run, 1), training_seed=1) for run in given[name]]
    figure, caption = FIGURES[name]([*others, *given[name]])
    expected, _ = FIGURES[name](given[name])
    assert heads(figure) == heads(expected)
    shown, wanted = ([axes.images[0].get_array() for axes in drawn.axes] for drawn in (figure, expected))
    np.testing.assert_array_equal(shown, wanted)
    assert "training seed 0," in caption


@pytest.mark.parametrize("name", NAMES)
def test_missing_records_are_named_in_one_sentence(name):
    with pytest.raises(SemFlowError, match=r"needs a record with (.+ )?task \w+.*evaluate one"):
        FIGURES[name]([])


@pytest.mark.parametrize("name", NAMES)
def test_a_control_alone_is_not_enough(name, real, runs):
    with pytest.raises(SemFlowError, match="needs a"):
        FIGURES[name]([real, *runs[5:]])


@pytest.mark.parametrize(
    ("name", "kept", "sentence"),
    [
        ("figure04", {"amplitude": 0}, "figure 4 needs synthesis by a model that was trained with perturbation"),
        ("figure04", {"amplitude": 20}, "figure 4 needs a record with amplitude 0"),
        ("figure11", {"sampling_seed": 0}, "figure 11 needs synthesis under several sampling seeds"),
        ("figure03", {"task": "synthesis"}, "figure 3 needs a record with .*task segmentation"),
        ("training_amplitudes", {"task": "synthesis"}, "training amplitudes needs a record with .*task segmentation"),
        ("evaluations", {"method": "semflow"}, "evaluations needs a record with .*method real"),
    ],
)
def test_what_of_several_records_is_missing_is_named(given, name, kept, sentence):
    left = [run for run in given[name] if all(getattr(run.record, field) == value for field, value in kept.items())]
    with pytest.raises(SemFlowError, match=sentence):
        FIGURES[name](left)


@pytest.mark.parametrize(("name", "task"), [("figure06", "synthesis"), ("figure07", "segmentation")])
def test_a_path_without_its_states_is_refused(given, name, task):
    with pytest.raises(SemFlowError, match=f"needs a {task} that kept the states on its way"):
        FIGURES[name]([holding(run, states=None) for run in given[name]])


def test_figure_8_without_a_perturbation_in_training_is_refused(make_synthesis):
    with pytest.raises(SemFlowError, match="figure 8 needs a model trained with perturbation"):
        FIGURES["figure08"]([make_synthesis(b=0.0, drawn_with=0.0)])


def test_columns_show_the_runs_that_they_are_named_after(given):
    assert greys(FIGURES["figure05"](given["figure05"])[0])[2:] == [11, 12, 15, 100]  # the first seed of 25 steps
    assert greys(FIGURES["figure08"](given["figure08"])[0])[2:] == [0, 3, 6, 12]
    assert greys(FIGURES["figure11"](given["figure11"])[0])[2:] == [100, 101, 102]
    assert greys(FIGURES["figure03"](given["figure03"])[0])[4] == 100


def test_figure_3_shows_cyclegan_beside_the_papers_method_where_it_was_run(given):
    runs = given["figure03"]
    alone = FIGURES["figure03"](runs)[1]
    assert "The paper's Figure 3 shows CycleGAN too, which the suite did not run." in alone
    others = [but(run, method="cyclegan", sampler="direct", steps=0) for run in (runs[0], filled(runs[1], 7))]
    figure, caption = FIGURES["figure03"]([*runs, *others])
    named = [(f"{name}\nsegmented", "errors", f"{name}\ndrawn") for name in ("SemFlow", "CycleGAN")]
    assert heads(figure) == ["image", "ground truth", *named[0], *named[1]]
    assert greys(figure)[4] == 100
    assert greys(figure)[7] == 7
    assert "did not run" not in caption


def test_pictures_and_layouts_are_coloured_as_the_data_set_says(given):
    run = given["figure11"][0]
    figure, _ = FIGURES["figure11"](given["figure11"])
    assert all((picture == (255, 0, 0)).all() for picture in column(figure, "layout"))  # class 0
    for shown, image in zip(column(figure, "real image"), run.arrays.images, strict=True):
        assert np.array_equal(np.moveaxis(shown, -1, 0), image)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("figure03", ("ground truth", "segmented", "errors")),
        ("figure12", ("ground truth", "Euler-25", "errors")),
        ("figure07", ("ground truth",)),
        ("figure02", ("ground truth",)),
    ],
)
def test_ignored_pixels_are_white_in_every_figure(given, name, shown):
    labels = np.zeros((2, 4, 6), np.uint8)
    labels[:, 0, 0] = 255
    figure, _ = FIGURES[name]([holding(run, labels=labels) for run in given[name]])
    for head in shown:
        for picture in column(figure, head):
            assert (picture[0, 0] == 255).all()
            assert (picture[1:] != 255).any(-1).all()
    assert "ignored" in [text.get_text() for text in figure.texts]


def test_errors_are_red_where_prediction_and_ground_truth_differ_and_nowhere_else(given):
    labels, outputs = np.zeros((2, 4, 6), np.uint8), np.zeros((2, 4, 6), np.uint8)
    outputs[:, 2, 3] = 1
    figure, _ = FIGURES["figure12"]([holding(run, labels=labels, outputs=outputs) for run in given["figure12"]])
    for picture in column(figure, "errors"):
        red = (picture == (200, 0, 40)).all(-1)
        assert np.argwhere(red).tolist() == [[2, 3]]


def test_the_legend_names_the_classes_that_are_shown_and_lies_below_the_pictures(given):
    labels, outputs = np.zeros((2, 4, 6), np.uint8), np.zeros((2, 4, 6), np.uint8)
    figure, _ = FIGURES["figure12"]([holding(run, labels=labels, outputs=outputs) for run in given["figure12"]])
    assert [text.get_text() for text in figure.texts] == ["a"]
    outputs[:, 2, 3] = 1
    figure, _ = FIGURES["figure12"]([holding(run, labels=labels, outputs=outputs) for run in given["figure12"]])
    assert [text.get_text() for text in figure.texts] == ["a", "b"]
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    lowest = min(axes.get_window_extent().y0 for axes in figure.axes)
    assert all(text.get_window_extent().y0 >= 0 and text.get_window_extent().y1 < lowest for text in figure.texts)


@pytest.mark.parametrize(
    ("steps", "n_states", "times"),
    [
        (25, 11, "1.00 0.92 0.80 0.68 0.60 0.52 0.40 0.28 0.20 0.12 0.00"),
        (2, 3, "1.00 0.50 0.00"),
        (0, 5, "1.00 0.75 0.50 0.25 0.00"),
    ],
)
def test_states_are_headed_by_the_times_they_were_kept_at(make_synthesis, steps, n_states, times):
    states = np.broadcast_to(np.arange(n_states, dtype=np.uint8)[:, None, None, None], (2, n_states, 3, 4, 6))
    figure, _ = FIGURES["figure06"]([holding(make_synthesis(steps=steps), states=states)])
    assert heads(figure)[1:] == [f"t = {time}" for time in times.split()]
    assert greys(figure)[1:] == list(range(n_states))


def test_figure_10_without_segmentation_has_one_block(given):
    figure, _ = FIGURES["figure10"]([run for run in given["figure10"] if run.record.task == "synthesis"])
    assert heads(figure) == HEADS["figure10"][:6]


def test_more_examples_than_rows_are_left_out(given):
    many = {"images": 8, "labels": 8, "outputs": 8}
    runs = [
        holding(
            run,
            **{name: np.resize(getattr(run.arrays, name), (n, *getattr(run.arrays, name).shape[1:])) for name, n in many.items()},
        )
        for run in given["figure10"]
    ]
    assert len(FIGURES["figure11"](runs)[0].axes) == 6 * 5
    assert len(FIGURES["figure10"](runs)[0].axes) == 3 * 6 + 3 * 6


def test_training_amplitudes_are_means_over_seeds_with_intervals(given):
    figure, _ = FIGURES["training_amplitudes"](given["training_amplitudes"])
    reach = 1.959964 * NOISE.std(ddof=1)
    frechet = points(panel(figure, "Fréchet distance\n(EfficientNet-Lite0)"), "SemFlow Euler-25")
    wanted = [(b, 9.5 + b, 9.5 + b - reach, 9.5 + b + reach) for b in (0, 6.375, 20)]
    np.testing.assert_allclose(frechet, wanted, rtol=1e-6)
    low, high = np.quantile(NOISE, [0.025, 0.975])
    brightness = points(panel(figure, "brightness"), "SemFlow Euler-25")
    np.testing.assert_allclose(brightness, [(b, 120, 120 + low, 120 + high) for b in (0, 6.375, 20)], rtol=1e-6)
    miou = points(panel(figure, "mIoU"), "SemFlow Euler-25")
    np.testing.assert_allclose(miou, [(b, 50, 50, 50) for b in (0, 6.375, 20)])


def test_what_lies_in_a_single_picture_is_held_against_real_images_of_the_same_layouts(given):
    (real,) = [run for run in given["training_amplitudes"] if run.record.method == "real_images"]
    same = scoring(but(real, method="test_images"), "detail", 12.5)
    figure, _ = FIGURES["training_amplitudes"]([*given["training_amplitudes"], same])
    lines = {axes.get_title().partition("\n")[0]: dashed(axes) for axes in figure.axes}
    assert lines["detail inside regions"] == [12.5]


def test_points_are_means_over_the_trainings_that_all_of_them_have(given):
    runs = given["sampling_amplitudes"]
    most = max(run.record.sampling_amplitude for run in runs)
    again = [
        scoring(but(run, training_seed=1), "brightness", 0.0)
        for run in runs
        if run.record.method == "semflow" and run.record.sampling_amplitude != most
    ]
    alone, more = (FIGURES["sampling_amplitudes"](of)[0] for of in (runs, [*runs, *again]))
    for a, b in zip(alone.axes, more.axes, strict=True):
        assert [list(line.get_ydata()) for line in a.lines] == [list(line.get_ydata()) for line in b.lines]


def test_real_images_are_a_dashed_line_where_they_have_a_score(given):
    figure, _ = FIGURES["training_amplitudes"](given["training_amplitudes"])
    lines = {axes.get_title().partition("\n")[0]: dashed(axes) for axes in figure.axes}
    assert lines == {
        "Fréchet distance": [4], "MMD²": [0.1], "perceptual distance": [2], "diversity": [], "round-trip mIoU": [], "mIoU": [],
        "brightness": [120], "clipped pixels": [3], "detail inside regions": [300],
    }  # fmt: skip
    figure, _ = FIGURES["evaluations"](given["evaluations"])
    assert [dashed(axes) for axes in figure.axes] == [[], [4], [0.1], []]


def test_axes_start_at_0_but_where_values_can_be_negative(given):
    below = [
        scoring(run, "mmd2_efficientnet_lite0", -0.2) if run.record.method == "real_images" else run
        for run in given["sampling_amplitudes"]
    ]
    figure, _ = FIGURES["sampling_amplitudes"]([holding(run, draws=run.arrays.draws) for run in below])
    bottoms = {axes.get_title().partition("\n")[0]: axes.get_ylim()[0] for axes in figure.axes}
    assert bottoms.pop("MMD²") < -0.2
    assert set(bottoms.values()) == {0}


def test_sampling_amplitudes_have_no_segmentation_and_mark_that_of_the_training(given):
    figure, _ = FIGURES["sampling_amplitudes"](given["sampling_amplitudes"])
    assert len(figure.axes) == 8
    assert all([6, 6] in [list(line.get_xdata()) for line in axes.lines] for axes in figure.axes)
    brightness = points(panel(figure, "brightness"), "SemFlow Euler-25")
    assert [point[:2] for point in brightness] == [(0, 90), (3, 96), (6, 102), (12, 114)]


def test_evaluations_have_a_curve_for_every_solver_over_what_it_costs(given):
    figure, _ = FIGURES["evaluations"](given["evaluations"])
    miou, frechet, _, perceptual = figure.axes
    assert [point[:2] for point in points(miou, "Euler")] == [(1, 50), (25, 50)]
    assert [point[:2] for point in points(frechet, "Euler")] == [(1, 20), (2, 10), (5, 4), (25, 10)]
    assert [point[:2] for point in points(frechet, "midpoint")] == [(4, 8), (24, 8)]
    assert [point[:2] for point in points(perceptual, "RK45")] == [(37.5, 2)]
    assert all(axes.get_xscale() == "log" for axes in figure.axes)
    assert [text.get_text() for text in figure.legends[0].texts] == ["Euler", "midpoint", "Heun", "RK45", "real images"]


def test_no_two_solvers_share_a_colour_or_a_marker(given):
    figure, _ = FIGURES["evaluations"](given["evaluations"])
    lines = [container.lines[0] for container in figure.axes[0].containers]
    assert len({line.get_color() for line in lines}) == len({line.get_marker() for line in lines}) == 4


def test_a_metric_through_a_proxy_goes_by_its_own_name(given):
    for name in ("training_amplitudes", "sampling_amplitudes", "evaluations"):
        figure, caption = FIGURES[name](given[name])
        assert "Fréchet distance\n(EfficientNet-Lite0)" in heads(figure)
        assert not any("FID" in text or "LPIPS" in text for text in (*heads(figure), caption))


def test_a_metric_through_the_papers_network_goes_by_the_papers_name(given):
    def renamed(run):
        as_paper = {"frechet_efficientnet_lite0": "fid", "perceptual_efficientnet_lite0": "lpips"}
        metrics = {as_paper.get(name, name): metric for name, metric in run.record.metrics.items()}
        draws = {as_paper.get(name, name): values for name, values in run.arrays.draws.items()}
        return holding(but(run, metrics=metrics), draws=draws)

    figure, _ = FIGURES["evaluations"]([renamed(run) for run in given["evaluations"]])
    assert [heads(figure)[panel] for panel in (0, 1, 3)] == ["mIoU", "FID", "LPIPS"]


def test_seed_agreement_is_a_bar_from_0_to_100_percent_with_its_interval(given):
    figure, caption = FIGURES["seed_agreement"](given["seed_agreement"])
    (axes,) = figure.axes
    assert axes.get_xlim() == (0, 100)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["SemFlow Euler-25", "DSM DDIM-25", "DSM DDPM-25"]
    assert [bar.get_width() for bar in axes.patches] == [100, 99.999, 72.5]
    intervals = [collection.get_segments()[0][:, 0] for collection in axes.collections]
    np.testing.assert_allclose(intervals[2], [70.6, 74.4], atol=1e-6)  # 2.5 and 97.5 % of draws from 70.5 to 74.5
    assert [text.get_text() for text in axes.texts] == ["every pixel", "99.99", "72.50"]  # 99.999 is not every pixel
    assert "pairs of 3 seeds" in caption


@pytest.mark.parametrize("name", NAMES)
def test_captions_say_suite_data_model_sampler_and_seeds(given, name):
    _, caption = FIGURES[name](given[name])
    for words in ("Suite hand: scenes <b> at 4 x 6, 3 test images.", "SemFlow (1,000 parameters", "Euler-", "training seed 0"):
        assert words in caption
    assert "  " not in caption
    assert caption.endswith(".")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("figure02", "Figure 2 is on other data, COCO-Stuff."),
        ("figure04", "Figure 4 is on other data, CelebAMask-HQ."),
        ("figure05", "Figure 5 is on other data; it does not say which of COCO-Stuff, CelebAMask-HQ and Cityscapes."),
        ("figure12", "Figure 12 is on other data, Cityscapes."),
    ],
)
def test_captions_say_where_the_data_are_not_the_papers(given, name, words):
    assert words in FIGURES[name](given[name])[1]


def test_captions_do_not_where_they_are(given):
    assert "other data" not in FIGURES["figure12"]([but(run, dataset="cityscapes") for run in given["figure12"]])[1]


@pytest.mark.parametrize("name", ["training_amplitudes", "sampling_amplitudes", "evaluations", "seed_agreement"])
def test_captions_of_curves_say_what_the_intervals_are_and_how_the_round_trip_is_read(given, name):
    figure, caption = FIGURES[name](given[name])
    assert "over frames" in caption
    assert ("round-trip mIoU" in heads(figure)) == ("says nothing of quality" in caption)


def test_captions_list_every_sampler_amplitude_and_seed(given):
    _, caption = FIGURES["figure10"](given["figure10"])
    assert "trained with b = 6) by Euler-25, midpoint-12, Heun-12 and RK45; training seed 0, sampling seed 0." in caption
    _, caption = FIGURES["figure04"](given["figure04"])
    assert "trained with b = 0 and 6.375) by Euler-25; training seed 0, sampling seeds 0 and 1." in caption


def test_variants_stand_beside_the_suite_as_it_is_in_the_order_of_their_images(given, runs):
    def seen(run, variant, n):
        return but(run, variant=variant, budget=run.record.budget.model_copy(update={"images_seen": n}))

    dsm = but(runs[3], steps=200)
    of = [seen(run, *which) for run in (runs[0], dsm) for which in (("double", 128), ("", 64), ("quarter", 16))]
    (axes,) = FIGURES["variants"](of)[0].axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "quarter\n16 images",
        "as it is\n64 images",
        "double\n128 images",
    ]
    assert axes.get_legend_handles_labels()[1] == ["SemFlow Euler-25", "DSM DDPM-200"]
    with pytest.raises(SemFlowError, match="a method under several variants"):
        FIGURES["variants"]([runs[0]])
