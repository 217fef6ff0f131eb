"""What the claims' file may hold, and the paper's own, judged."""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from importlib import resources

import pytest
import yaml

from baselines import METHODS
from semflow import files, published
from semflow.claims import verdicts
from semflow.claims.document import MinSamples, load
from semflow.claims.verdicts import VERDICTS
from semflow.errors import SemFlowError
from semflow.report import claims_text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: ordering", "kind: guess", "claims.above.kind is 'guess'"),
        ("at_least: 2}", "at_lest: 2}", "unknown key claims.above.conditions.0.at_lest; did you mean at_least?"),
        (", at_least: 2}", "}", "needs at_least, at_most or both"),
        (
            "kind: ordering",
            "kind: ordering\n    sanity_check: magic",
            "there is no sanity_check 'magic'; name one of segmentation",
        ),
        ("    reason: none\n", "", "claims.above.reason is missing"),
        (
            "minus: dsm segmentation ddpm-N miou",
            "minus: dsm segmentation ddpm-N miou, over: dsm segmentation ddpm-N miou",
            "takes one of minus, over and cost_against",
        ),
        ("at_least: 2}", "at_least: 2, at_most: 1}", "at_least 2 lies above at_most 1"),
        ("images: 20", "images: 0", "claims.above.min_samples.images is 0"),
        ("    reason: none\n", "    reason: none\n    untested: no number\n", "needs conditions, or untested with the reason"),
        (
            "    reason: none\n",
            "    reason: none\n    primary: true\n    by_construction: it must\n",
            "a primary claim is one that evidence decides",
        ),
        ("at_least: 2}", "at_least: 2, cost: hours}", "claims.above.conditions.0.cost is 'hours'"),
    ],
)
def test_a_mistake_in_the_claims_file_is_one_sentence_naming_the_entry(old, new, message, above, document):
    with pytest.raises(SemFlowError, match="^claims.yaml: ") as error:
        document(above.replace(old, new))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("euler-N miou", "euler-N mIoU", "there is no metric 'mIoU'; it is one of"),
        ("semflow segmentation", "semfow segmentation", "there is no method 'semfow'"),
        ("semflow segmentation", "semflow segmentaton", "there is no task 'segmentaton'"),
        ("euler-N miou", "eular-N miou", "semflow has no sampler 'eular' for segmentation; it has euler,"),
        ("ddpm-N miou", "ddpm-N miou b=6", "b= is for methods whose masks are perturbed; dsm's are not"),
        ("euler-N miou", "euler-N miou b'=2", "b'= is for what draws"),
        ("euler-N miou", "euler-N fid", "fid is no metric of segmentation"),
        ("euler-N miou", "euler miou", "is not NAME-STEPS"),
        ("euler-N miou, minus:", "euler-best miou, cost_against:", "write NAME-N on both sides"),
    ],
)
def test_a_term_that_nothing_measures_is_a_mistake_and_not_a_claim_that_was_not_run(old, new, message, above, document):
    with pytest.raises(SemFlowError, match="^claims.yaml: claims.above.conditions.0") as error:
        document(above.replace(old, new))
    assert message in str(error.value)


def test_margins_and_quotes_fit_the_tables(above, head):
    entries = "table_entries: [{table: 2, min_scale: paper, place: P, min_samples: {}, margins: {mIoU: 1}, reason: r}]"
    with pytest.raises(SemFlowError, match="table_entries.0: margins must be of miou, each once"):
        load((head + above).replace("table_entries: []", entries))
    quote = "[{id: f, place: P, words: w, reading: r, quoted: [{method: dsm, sampler: ddpm, steps: 7, miou: 1}]}]"
    with pytest.raises(SemFlowError, match="discrepancies.f.quoted.0: Table 2 has no dsm ddpm-7"):
        load((head + above).replace("discrepancies: []", f"discrepancies: {quote}"))


def test_an_id_may_stand_once(above, document):
    with pytest.raises(SemFlowError, match="ids must differ; above is there twice"):
        document(above, above)


# The paper's claims.


def test_six_claims_are_primary():
    assert sum(claim.primary for claim in load().claims) == 6


def test_what_decides_a_verdict_changes_only_with_its_hash_in_the_file():
    """Margins, checks, sizes and primaries: a report names the commit in which the hash came in as that which fixed them."""
    raw = yaml.safe_load(resources.files(published).joinpath("claims.yaml").read_text(encoding="utf-8"))
    told = {"place", "words", "reason", "kind"}  # and decides nothing
    reasons = {"by_construction", "untested"}  # of which only counts whether there is one

    def deciding(entry):
        return {key: bool(value) if key in reasons else value for key, value in entry.items() if key not in told}

    entries = [check | {"id": name} for name, check in raw["sanity_checks"].items()] + raw["table_entries"] + raw["claims"]
    text = json.dumps([raw["scale"], MinSamples().model_dump(), [*map(deciding, entries)], raw["not_starved"]], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert raw["decides"][-1]["hash"] == digest, (
        f"what decides verdicts is now {digest}: add that to `decides` of claims.yaml and raise `version`"
    )


def test_every_claim_is_judged_or_not_run(runs, make_synthesis, real, make_seed_agreement):
    everything = [*runs, make_synthesis(), real, make_seed_agreement("semflow", "euler", 100.0)]
    judged = verdicts.judge(everything, load())
    assert {claim["verdict"] for claim in judged["claims"]} <= set(VERDICTS)
    assert Counter(claim["verdict"] for claim in judged["claims"]) == Counter(judged["counts"])
    json.dumps(judged, allow_nan=False)


def test_the_papers_inner_contradiction_is_found_in_its_own_table(runs):
    (finding,) = [entry for entry in verdicts.judge(runs, load())["discrepancies"] if entry["id"] == "steps-of-dsm"]
    assert "DSM DDPM: 12.3 at 5 steps in the text; Table 2 has 5.3 there and 12.3 at 10" in finding["quoted"]
    assert "DSM DDIM: 9.5 at 5 steps in the text; Table 2 has 4.0 there and 9.5 at 10" in finding["quoted"]


def test_no_seed_variance_is_claimed_from_one_training(runs):
    judged = verdicts.judge(runs, load())
    assert any("intervals do not include the variance between trainings" in note for note in judged["notes"])
    assert all(part["sd_trainings"] is None for claim in judged["claims"] for part in claim["conditions"])


def test_the_text_has_every_claim_and_discrepancy_and_the_badge_their_counts(above, document, pair):
    judged = verdicts.judge(pair(0.9, 0.7), document(above))
    text = claims_text.markdown(judged)
    assert "| SemFlow is above DSM. | reproduced at proxy scale |" in text
    assert "1 reproduced" in claims_text.badge(judged)
    whole = claims_text.markdown(verdicts.judge(pair(0.9, 0.7), load()))
    for entry in (*load().claims, *load().discrepancies):
        assert entry.words.replace("|", "\\|") in whole


def test_a_claim_is_added_by_an_entry_in_the_file_and_nothing_else(above, pair):
    """To a copy of the paper's claims: there it is judged like all others."""
    text = resources.files(published).joinpath("claims.yaml").read_text(encoding="utf-8")
    added = load(text.replace("\nclaims:\n", f"\nclaims:{above.replace('id: above', 'id: my-own')}", 1))
    assert len(added.claims) == len(load().claims) + 1
    judged = verdicts.judge(pair(0.9, 0.7), added)
    (claim,) = [claim for claim in judged["claims"] if claim["id"] == "my-own"]
    assert claim["verdict"] == "reproduced"
    assert claim["words"] in claims_text.markdown(judged)


def test_a_method_that_is_registered_may_stand_in_a_claim(above, document, monkeypatch):
    other = above.replace("minus: dsm segmentation ddpm-N", "minus: toy segmentation ddpm-N")
    with pytest.raises(SemFlowError, match="there is no method 'toy'"):
        document(other)
    monkeypatch.setitem(METHODS, "toy", METHODS["dsm"])
    assert document(other).claims[0].conditions[0].minus.method == "toy"


def test_what_is_read_from_claims_json_is_what_was_judged(pair, above, document, tmp_path):
    judged = verdicts.judge(pair(0.9, 0.7), document(above))
    files.write_json(tmp_path / "claims.json", judged)
    assert verdicts.read(tmp_path / "claims.json") == judged == json.loads((tmp_path / "claims.json").read_text())


@pytest.mark.parametrize(
    ("where", "fields", "message"),
    [
        ((), {"format": 2}, "format is 2"),
        (("claims", 0), {"verdict": "maybe"}, "claims.0.verdict is 'maybe'"),
        (("claims", 0), {"tier": "proxy"}, "unknown key claims.0.tier"),
    ],
)
def test_claims_json_of_another_form_is_one_sentence(pair, above, document, tmp_path, where, fields, message):
    path, judged = tmp_path / "claims.json", verdicts.judge(pair(0.9, 0.7), document(above))
    place = judged
    for name in where:
        place = place[name]
    place |= fields
    path.write_text(json.dumps(judged))
    with pytest.raises(SemFlowError, match=r"is not a file of claims of format 4: .*; make it again with") as error:
        verdicts.read(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_claims_import_no_torch():
    """So that the workflow can plan, and judge, within a second or two."""
    modules = "chance, collect, document, drift, effects, verdicts"
    code = f"import sys; from semflow.claims import {modules}; print('torch' in sys.modules, 'diffusers' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "False"]
