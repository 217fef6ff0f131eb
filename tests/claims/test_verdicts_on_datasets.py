"""Claims and the numbers of tables, judged on records of several data sets."""

import json

import numpy as np
import pytest
from record_fixtures import changed

from baselines import METHODS
from semflow.claims import verdicts
from semflow.claims.collect import Run, by_dataset
from semflow.claims.document import load
from semflow.evaluation import records
from semflow.report import claims_text
from semflow.report.write import write

COCO, FACES, STREETS = "coco_stuff", "celebamask_hq", "cityscapes"


def test_every_claim_is_judged_as_if_its_data_set_were_alone(mixed, make_synthesis, on_dataset):
    mixed = [*mixed, *(on_dataset(make_synthesis(30.0, b=0.0, drawn_with=0.0, steps=n), FACES, split="val") for n in (1, 25))]
    judged = verdicts.judge(mixed, load())["claims"]
    alone = {name: verdicts.judge(of, load())["claims"] for name, of in by_dataset(mixed).items()}
    found = set()
    for number, claim in enumerate(judged):
        if claim["data"]:
            found.add(claim["data"])
            same = alone[claim["data"]][number]
            assert all(name.startswith(f"{claim['data']}:") for part in claim["conditions"] for name in part["records"])
            for part in claim["conditions"]:
                part["records"] = [name.partition(":")[2] for name in part["records"]]
            assert claim["conditions"] == same["conditions"]
            assert (claim["verdict"], claim["p"]) == (same["verdict"], same["p"])
        else:
            assert claim["verdict"] == "not run"
            assert all(of[number]["verdict"] == "not run" for of in alone.values())
    assert found == {COCO, FACES, STREETS}


def on(pairs, on_dataset):
    return [on_dataset(run, name) for name, runs in pairs.items() for run in runs]


def test_a_claim_takes_the_first_data_set_that_has_all_of_it(pair, above, verdict_of, on_dataset):
    better, worse = pair(0.9, 0.7), pair(0.7, 0.9)
    both = verdict_of(on({FACES: worse, COCO: better}, on_dataset), above)
    assert (both["data"], both["verdict"]) == (COCO, "reproduced")
    part = verdict_of(on({FACES: worse, COCO: better[:1]}, on_dataset), above)
    assert (part["data"], part["verdict"]) == (FACES, "not reproduced")


def test_sides_on_two_data_sets_are_never_held_against_each_other(pair, above, verdict_of, on_dataset):
    ours, theirs = pair(0.9, 0.7)
    claim = verdict_of(on({COCO: [theirs], FACES: [ours]}, on_dataset), above)
    assert (claim["verdict"], claim["data"], claim["conditions"]) == ("not run", COCO, [])
    assert claim["why"] == "There is no record of SemFlow Euler segmentation."
    nowhere = verdict_of(on({STREETS: [ours], FACES: [ours]}, on_dataset), above.replace("euler-N", "rk4-N"))
    assert (nowhere["verdict"], nowhere["data"]) == ("not run", None)
    assert nowhere["why"] == "There is no record of SemFlow RK4 segmentation and DSM DDPM segmentation."


def test_the_data_set_must_have_the_sanity_check_too(pair, checked, verdict_of, make_run, matrices, on_dataset):
    shuffled = make_run("shuffled_labels", "direct", 0, matrices(0.3, seed=9))
    there = {COCO: pair(0.9, 0.7), FACES: [*pair(0.7, 0.9), shuffled]}
    assert verdict_of(on(there, on_dataset), checked)["data"] == FACES
    none = verdict_of(on(there | {FACES: there[FACES][:2]}, on_dataset), checked)
    assert (none["data"], none["verdict"]) == (COCO, "not run")
    assert "which the sanity check needs" in none["why"]
    partly = verdict_of(on({COCO: there[COCO][:1], FACES: there[FACES][:2]}, on_dataset), checked)
    assert partly["data"] == FACES  # where all but the sanity check is, rather than where a part of the claim is


def test_a_modified_dsm_is_told_of_where_it_was_measured(pair, above, document, on_dataset):
    stronger = [changed(run, method="dsm_modified") if run.record.method == "dsm" else run for run in pair(0.9, 0.7)]
    notes = verdicts.judge(on({COCO: pair(0.7, 0.9), FACES: stronger}, on_dataset), document(above))["notes"]
    (note,) = [note for note in notes if "DSM, modified" in note]
    assert note == f"{FACES}: DSM, modified: {METHODS['dsm_modified'].modified}."


def test_notes_count_images_and_trainings_by_data_set(mixed, pair, document, above, on_dataset):
    more = [on_dataset(run, STREETS) for seed in range(2) for run in pair(0.9, 0.7, training_seed=seed)]
    notes = verdicts.judge([*mixed[:-1], *more], document(above))["notes"]
    assert any(f"paired by test image (3 on {COCO}; 3 on {FACES}; 40 on {STREETS})" in note for note in notes)
    assert any(f"the first of {COCO}, {FACES} and {STREETS} on which all of it was measured" in note for note in notes)
    assert any(note.startswith(f"{COCO}: One training a model") for note in notes)
    assert any(note.startswith(f"{STREETS}: Up to 2 training seeds") for note in notes)


def test_notes_of_one_data_set_name_none(pair, document, above):
    judged = verdicts.judge(pair(0.9, 0.7), document(above))
    assert "paired by test image (40): " in " ".join(judged["notes"])
    assert judged["claims"][0]["data"] is None
    assert "| claim | verdict | effect |" in claims_text.markdown(judged)


def test_claims_on_several_data_sets_survive_writing_and_say_which(mixed, store, tmp_path):
    write("claims", store(mixed), [tmp_path / "claims.json", tmp_path / "claims.md"])
    judged = verdicts.read(tmp_path / "claims.json")
    assert judged == json.loads((tmp_path / "claims.json").read_text())
    text = (tmp_path / "claims.md").read_text()
    assert "| claim | verdict | data | effect |" in text
    (flat,) = [claim for claim in judged["claims"] if claim["id"] == "semflow-drops-at-one-step"]
    assert f"| {flat['words']} | {claims_text.verdict(flat)} | {COCO} |" in text


# Numbers of tables.


@pytest.fixture
def at_papers_scale(make_run, matrices, make_synthesis, on_dataset):
    """SemFlow on COCO-Stuff at 38.6 % mIoU, and on CelebAMask-HQ at an FID of 33 and an LPIPS of 0.39."""
    share = 2 * 38.6 / 138.6  # IoU = p / (2 - p) where either class is right in a share p
    values = {"fid": 33.0, "lpips": 0.39}
    draws = {name: value + np.random.default_rng(0).normal(0, 0.005 * value, 400) for name, value in values.items()}
    run = make_synthesis()
    metrics = {name: records.Metric.of(name, value, draws[name]) for name, value in values.items()}
    arrays = type(run.arrays)(**(vars(run.arrays) | {"draws": draws, "units": np.arange(2993)}))
    drawn = changed(Run(run.record, arrays), metrics=metrics, n_images=2993)
    return [
        on_dataset(make_run("semflow", "euler", 25, matrices(share, 2500)), COCO, papers=True),
        on_dataset(drawn, FACES, papers=True),
    ]


def entries(runs):
    judged = verdicts.judge(runs, load())["claims"]
    return {claim["id"]: claim for claim in judged if claim["kind"] == "table_entry"}


SEMFLOW = ("table1-semflow-euler-25-miou", "table1-semflow-euler-25-fid", "table1-semflow-euler-25-lpips")


def test_numbers_are_reproduced_each_on_the_data_set_of_its_table(at_papers_scale):
    found = entries(at_papers_scale)
    assert [(found[name]["verdict"], found[name]["data"]) for name in SEMFLOW] == [
        ("reproduced", COCO), ("reproduced", FACES), ("reproduced", FACES),
    ]  # fmt: skip
    assert found["table2-semflow-euler-25-miou"]["verdict"] == "reproduced"
    assert verdicts.judge(at_papers_scale, load())["scale"] == "paper"


def test_a_number_at_another_size_is_not_comparable_and_leaves_those_of_other_data_alone(at_papers_scale):
    coco, faces = at_papers_scale
    small = faces.record.protocol.model_copy(update={"evaluation_size": (256, 256)})
    found = entries([coco, changed(faces, protocol=small)])
    assert [found[name]["verdict"] for name in SEMFLOW] == ["reproduced", "not comparable", "not comparable"]
    found = entries([changed(coco, n_parameters=1000), faces])
    assert [found[name]["verdict"] for name in SEMFLOW] == ["not comparable", "reproduced", "reproduced"]


def test_a_number_is_never_taken_from_another_data_set_than_its_tables(at_papers_scale, on_dataset):
    coco, faces = at_papers_scale
    elsewhere = [on_dataset(coco, FACES, papers=True), faces, changed(on_dataset(coco, COCO, papers=True), steps=5)]
    assert entries(elsewhere)[SEMFLOW[0]]["verdict"] == "not run"
    nowhere = entries([on_dataset(coco, STREETS, papers=True), on_dataset(faces, "zoo")])
    assert (nowhere[SEMFLOW[0]]["verdict"], nowhere[SEMFLOW[0]]["data"]) == ("not comparable", STREETS)
