"""Figures in the README that stand in a committed result are that result's."""

import json
from pathlib import Path

from newtake.bench.ranking import SAID, found
from newtake.metrics.statistics import means
from newtake.report.tables import ranking
from newtake.report.text import printed

ROOT = Path(__file__).parents[1]
RESULTS = json.loads((ROOT / "docs" / "bench" / "results.json").read_text(encoding="utf-8"))


def test_the_ranking_is_of_the_committed_rows():
    """Made anew of the rows, by the formula as it stands, it is what the file says and what the README prints."""
    assert RESULTS["formula"] == SAID and len({row["edit"] for row in RESULTS["rows"]}) == 60
    again = found(RESULTS["rows"])
    assert again["ranking"] == RESULTS["ranking"] and again["flags"] == RESULTS["flags"]
    table = [line for line in printed(ranking(RESULTS)).splitlines() if line.startswith("|")]
    assert "\n".join(table) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_frame_accuracy_of_true_answers_and_sources():
    of = {who: means(RESULTS["rows"], "frame_accuracy")[who].value for who in ("truth", "identity")}
    assert of["truth"] >= 95 and of["identity"] <= 5


def test_the_ranking_punishes_doing_nothing_and_destroying_alike():
    order = [one["method"] for one in RESULTS["ranking"]]
    success = {who: [row["scores"]["success"] for row in RESULTS["rows"] if row["method"] == who] for who in order}
    good = [who for who in RESULTS["methods"] if sum(success[who]) / len(success[who]) >= 50]
    assert order[0] == "truth" and good
    for nothing in ("identity", "frozen", "shuffled", "black"):
        assert all(order.index(who) < order.index(nothing) for who in good), nothing
