"""What the claims' file may hold, and the paper's own, judged."""

import json
from collections import Counter

import pytest

from semflow.claims import verdicts
from semflow.claims.document import load
from semflow.claims.judging import VERDICTS
from semflow.errors import SemFlowError


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: ordering", "kind: guess", "claims.0.kind"),
        ("at_least: 2}", "at_lest: 2}", "claims.0.parts.0.at_lest"),
        (", at_least: 2}", "}", "needs at_least, at_most or both"),
        ("modified: against", "sanity_check: magic", "there is no assay 'magic'; name one of segmentation"),
        ("    reason: none\n", "", "claims.0.reason"),
        ("minus: dsm segmentation ddpm-N miou", "minus: a, over: b", "takes one of minus, over and cost_against"),
        ("at_least: 2}", "at_least: 2, at_most: 1}", "at_least 2 lies above at_most 1"),
        ("images: 20", "images: 0", "claims.0.min_samples.images"),
    ],
)
def test_a_mistake_in_the_claims_file_is_one_sentence_naming_the_entry(old, new, message, above, document):
    with pytest.raises(SemFlowError, match="the claims are not in their form: ") as error:
        document(above.replace(old, new))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("euler-N miou", "euler-N mIoU", "there is no metric 'mIoU'; it is one of"),
        ("semflow segmentation", "semfow segmentation", "there is no method 'semfow'"),
        ("semflow segmentation", "semflow segmentaton", "there is no task 'segmentaton'"),
        ("euler-N miou", "eular-N miou", "there is no sampler 'eular'"),
        ("ddpm-N miou", "ddpm-N miou b=6", "b= is for semflow"),
        ("euler-N miou", "euler-N miou b'=2", "b'= is for synthesis"),
        ("euler-N miou", "euler-N fid", "fid is no metric of segmentation"),
        ("euler-N miou", "euler miou", "is not NAME-STEPS"),
        ("euler-N miou, minus:", "euler-best miou, cost_against:", "write NAME-N on both sides"),
    ],
)
def test_a_cell_that_nothing_measures_is_a_mistake_and_not_a_claim_that_was_not_run(old, new, message, above, document):
    with pytest.raises(SemFlowError, match="^claims.yaml: claim above: ") as error:
        document(above.replace(old, new))
    assert message in str(error.value)


def test_margins_and_quotes_fit_the_tables(above, head):
    points = "points: [{table: 2, min_scale: paper, place: P, least: {}, margins: {mIoU: 1}, reason: r}]"
    with pytest.raises(SemFlowError, match="points of table 2: margins must be of miou, each once"):
        load((head + above).replace("points: []", points))
    quote = "[{id: f, place: P, words: w, reading: r, quoted: [{method: dsm, sampler: ddpm, steps: 7, miou: 1}]}]"
    with pytest.raises(SemFlowError, match="finding f: Table 2 has no dsm ddpm-7"):
        load((head + above).replace("findings: []", f"findings: {quote}"))


def test_an_id_may_stand_once(above, document):
    with pytest.raises(SemFlowError, match="ids must differ; above is there twice"):
        document(above, above)


def test_every_claim_is_judged_or_not_run(runs, make_synthesis, real, make_determinism):
    everything = [*runs, make_synthesis(), real, make_determinism("semflow", "euler", 100.0)]
    judged = verdicts.judge(everything, load())
    assert {claim["verdict"] for claim in judged["claims"]} <= set(VERDICTS)
    assert Counter(claim["verdict"] for claim in judged["claims"]) == Counter(judged["counts"])
    json.dumps(judged, allow_nan=False)


def test_the_papers_inner_contradiction_is_found_in_its_own_table(runs):
    (finding,) = [entry for entry in verdicts.judge(runs, load())["findings"] if entry["id"] == "steps-of-dsm"]
    assert "DSM DDPM: 12.3 at 5 steps in the text; Table 2 has 5.3 there, 12.3 stands at 10" in finding["quoted"]
    assert "DSM DDIM: 9.5 at 5 steps in the text; Table 2 has 4.0 there, 9.5 stands at 10" in finding["quoted"]


def test_no_seed_variance_is_claimed_from_one_training(runs):
    judged = verdicts.judge(runs, load())
    assert any("no interval covers the chance of training" in note for note in judged["notes"])
    assert all(part["seed_low"] is None for claim in judged["claims"] for part in claim["conditions"])


def test_the_text_has_every_claim_and_finding_and_the_badge_their_counts(above, document, pair):
    judged = verdicts.judge(pair(0.9, 0.7), document(above))
    text = verdicts.markdown(judged)
    assert "| SemFlow is above DSM. | reproduced at proxy scale |" in text
    assert "1 reproduced" in verdicts.badge(judged)
    whole = verdicts.markdown(verdicts.judge(pair(0.9, 0.7), load()))
    for entry in (*load().claims, *load().findings):
        assert entry.words.replace("|", "\\|") in whole
