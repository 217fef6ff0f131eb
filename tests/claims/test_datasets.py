"""Records of several data sets in one suite: how they are read and held against a reference."""

import pytest
from record_fixtures import changed

from semflow.claims import drift
from semflow.claims.collect import by_dataset, only, own, read_runs
from semflow.claims.document import load
from semflow.errors import SemFlowError

COCO, FACES, STREETS = "coco_stuff", "celebamask_hq", "cityscapes"


# Reading.


def test_records_of_several_data_sets_of_one_suite_are_read(mixed, store):
    assert list(by_dataset(read_runs(store(mixed)))) == [COCO, FACES, STREETS]


def test_data_sets_come_in_the_papers_order_and_then_by_name(runs, on_dataset):
    names = ["zoo", STREETS, "camvid", "celebamask_hq", "coco_stuff_164k"]
    assert list(by_dataset([on_dataset(runs[0], name) for name in names])) == [*reversed(names[3:]), STREETS, "camvid", "zoo"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: changed(run, suite="another"), "is of another suite than"),
        (lambda run: changed(run, split="train"), f"is on other data than .* both are on {COCO}"),
        (
            lambda run: changed(run, provenance=run.record.provenance.model_copy(update={"data_sha256": "other"})),
            f"is on other data than .* both are on {COCO}",
        ),
        (
            lambda run: changed(run, protocol=run.record.protocol.model_copy(update={"resize": "bilinear"})),
            "was measured under another protocol",
        ),
    ],
)
def test_within_a_data_set_there_is_one_suite_split_set_of_images_and_protocol(mixed, store, damage, message):
    with pytest.raises(SemFlowError, match=message):
        read_runs(store([*mixed[:-2], damage(mixed[-2]), mixed[-1]]))


def test_a_record_that_is_given_twice_is_refused_under_whatever_name(make_run, store):
    run = make_run("semflow", "euler", 25, [[[4, 0], [0, 4]]] * 3)
    with pytest.raises(SemFlowError, match="are of the same evaluation, which would count twice; give one"):
        read_runs(store([run, changed(run, steps=5), run]))


def test_records_of_one_training_are_of_the_same_weights(make_run, store):
    run = make_run("semflow", "euler", 25, [[[4, 0], [0, 4]]] * 3)
    provenance = run.record.provenance.model_copy(update={"checkpoint_sha256": "other"})
    assert read_runs(store([run, changed(run, training_seed=1, provenance=provenance)]))
    with pytest.raises(SemFlowError, match="was measured on other weights than .* though of one training"):
        read_runs(store([run, changed(run, steps=5, provenance=provenance)]))


def test_another_data_set_may_have_its_own_protocol(mixed, store):
    protocol = mixed[0].record.protocol.model_copy(update={"resize": "bilinear"})
    faces = [changed(run, protocol=protocol) for run in only(mixed, dataset=FACES, task="segmentation")]
    assert read_runs(store([*faces, *only(mixed, dataset=COCO)]))


def test_a_data_sets_own_perturbation_is_that_of_most_of_its_records(make_synthesis, on_dataset):
    faces = [make_synthesis(b=0.0, drawn_with=0.0), make_synthesis(b=0.0, drawn_with=0.0, steps=5), make_synthesis()]
    coco = [make_synthesis(steps=n) for n in (1, 2, 5, 10)]
    kept = own([on_dataset(run, FACES) for run in faces] + [on_dataset(run, COCO) for run in coco])
    assert [(run.record.dataset, run.record.amplitude) for run in kept] == [(FACES, 0.0)] * 2 + [(COCO, 6.0)] * 4


# Drift.


def test_only_the_data_set_that_became_worse_has_drifted(mixed, make_run, on_dataset, document, above, tmp_path):
    drift.accept(mixed, tmp_path / "r.json", "first")
    reference = drift.read(tmp_path / "r.json")
    assert drift.check(drift.reference_of(mixed), reference, document(above)).status == 0
    lost = on_dataset(make_run("semflow", "euler", 1, [[[0, 4], [4, 0]]] * 3, digest="c"), COCO)
    now = [lost if (r.record.dataset, r.record.steps, r.record.task) == (COCO, 1, "segmentation") else r for r in mixed]
    found = drift.check(drift.reference_of(now), reference, document(above))
    assert found.drifted
    assert all(line.startswith(f"SemFlow on {COCO}, b = 6: SemFlow Euler-1 segmentation: ") for line in found.drifted)


def test_evaluations_of_a_reference_say_their_data_set_where_there_are_several(mixed):
    evaluations = drift.reference_of(mixed).evaluations
    assert {f"SemFlow on {name}, b = 6: SemFlow Euler-25 segmentation" for name in (COCO, FACES)} < set(evaluations)
    assert "SemFlow, b = 6: SemFlow Euler-25 segmentation" in drift.reference_of(only(mixed, dataset=COCO)).evaluations


def test_of_other_weights_the_watched_numbers_of_every_data_set_are_held_against_its_own_trainings(
    make_run, matrices, on_dataset, tmp_path
):
    """One data set is segmented well and one badly; only the latter's model then falls to nothing."""

    def runs(weights, seeds, **shares):
        made = [
            on_dataset(make_run("semflow", "euler", 25, matrices(share, seed=seed), training_seed=seed), name)
            for name, share in shares.items()
            for seed in seeds
        ]
        return [
            changed(run, provenance=run.record.provenance.model_copy(update={"checkpoint_sha256": f"{weights} {n}"}))
            for n, run in enumerate(made)
        ]

    drift.accept(runs("a", range(4), **{COCO: 0.9, FACES: 0.5}), tmp_path / "r.json", "first")
    now = drift.reference_of(runs("b", [9], **{COCO: 0.9, FACES: 0.1}))
    found = drift.check(now, drift.read(tmp_path / "r.json"), load())
    assert [one.name.split(",")[0] for one in found.watched] == [f"SemFlow on {FACES}", f"SemFlow on {COCO}"]
    assert [line.split(",")[0] for line in found.drifted] == [f"SemFlow on {FACES}"]
