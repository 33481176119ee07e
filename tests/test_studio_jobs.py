"""Turns, cancelling, and an edit from its form to the history."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import asked, clip, model

from newtake.errors import BadInput, Cancelled
from newtake.models.load import load
from newtake.models.windows import Windowed
from newtake.places import Places
from newtake.run import run
from newtake.studio import Form, Queue, Studio, filled, history, pictures, uploads
from newtake.studio.door import Rules
from newtake.studio.jobs import ENDED, MOST, State
from newtake.track import stoppable, track, watched
from newtake.world import Scene
from newtake.world.clips import video
from newtake.world.render import masks

SOON = 60                                               # seconds, of what takes none unless it hangs


@pytest.fixture
def queue(tmp_path):
    with Queue(Places(tmp_path)) as queue:
        yield queue


class Held:
    """Work in steps, each of which waits until it is let go."""

    def __init__(self):
        self.begun, self.go, self.ended = threading.Event(), threading.Event(), False

    def __call__(self, preview):
        try:
            for _ in track(range(3), "holding"):
                self.begun.set()
                assert self.go.wait(SOON)
        finally:
            self.ended = True
        return State("done", result="held")


def held(queue, owner="other"):
    work = Held()
    ticket = queue.hand_in(owner, "held", work)
    assert work.begun.wait(SOON)
    return ticket, work


def noted(seen, name):
    return lambda preview: seen.append(name) or State("done", result=name)


def test_turns_go_round_the_owners_and_each_knows_its_place(queue):
    first, work = held(queue, "a")
    seen, names = [], ["a1", "a2", "a3", "b1", "b2", "c1"]
    tickets = {name: queue.hand_in(name[0], name, noted(seen, name)) for name in names}
    wanted = ["b1", "c1", "a1", "b2", "a2", "a3"]
    assert [tickets[name].state for name in wanted] == [State("waiting", place) for place in range(1, 7)]
    tickets["a1"].cancel()
    assert tickets["a1"].state == State("cancelled") and tickets["b2"].state.place == 3
    work.go.set()
    assert all(ticket.over.wait(SOON) for ticket in tickets.values())
    assert seen == [name for name in wanted if name != "a1"] and first.state.result == "held"
    assert [ticket.title for ticket in queue.of("b")] == ["b1", "b2"]


@given(st.lists(st.sampled_from(["", "a", "b", "c", "d"]), max_size=60))        # "": the next one is carried out
@settings(max_examples=60, deadline=None)
def test_nobody_waits_for_more_than_two_of_each_other_owner(tmp_path_factory, what):
    queue = Queue(Places(tmp_path_factory.getbasetemp()))
    passed = {}                                         # by ticket, who went before it since it is its owner's first
    for owner in what + [""] * len(what):
        if owner:
            if sum(ticket.state.kind == "waiting" for ticket in queue.of(owner)) < MOST:
                queue.hand_in(owner, "", noted([], ""))
        elif line := queue.line():
            first = {ticket.owner: ticket for ticket in reversed(line)}
            begun = queue.begun()
            assert begun is line[0]
            begun.end(State("done"))
            for ticket in first.values():
                passed.setdefault(ticket, []).append(begun.owner)
    assert not queue.line()
    for ticket, owners in passed.items():
        assert all(owners.count(other) <= 2 for other in {*owners} - {ticket.owner})


def test_what_runs_is_cancelled_at_its_next_step(queue):
    ticket, work = held(queue)
    after = queue.hand_in("b", "after", noted([], "after"))
    assert ticket.state == State("running", what="holding", of=3)
    ticket.cancel()
    assert not ticket.over.is_set()                     # it is in the middle of a step
    work.go.set()
    assert ticket.over.wait(SOON) and ticket.state == State("cancelled") and work.ended
    assert after.over.wait(SOON) and after.state.result == "after"
    after.cancel()
    assert after.state.kind == "done"


def test_what_goes_wrong_is_told_and_the_next_one_is_carried_out(queue, capsys):
    def wrong(error):
        def work(preview):
            raise error
        ticket = queue.hand_in("a", "wrong", work)
        assert ticket.over.wait(SOON)
        return ticket.state

    assert wrong(BadInput("say what\nthe clip shows")) == State("refused", line="say what the clip shows")
    assert wrong(RuntimeError("CUDA out of memory")).line.startswith("there is not enough memory")
    assert capsys.readouterr().err == ""
    assert wrong(KeyError("x")) == State("failed", line="a fault of newtake: KeyError: 'x'")
    assert "Traceback" in capsys.readouterr().err       # for the owner, on the terminal


def test_an_owner_has_so_many_waiting_and_what_ended_is_forgotten(queue):
    _, work = held(queue, "a")
    for _ in range(MOST):
        queue.hand_in("a", "more", noted([], ""))
    with pytest.raises(BadInput, match="waiting already"):
        queue.hand_in("a", "more", noted([], ""))
    work.go.set()
    for _ in range(ENDED + 5):
        last = queue.hand_in("b", "more", noted([], ""))
        assert last.over.wait(SOON)
    assert len(queue.tickets) <= ENDED + 1 and queue.of("b")[-1] is last


def test_at_the_end_all_is_cancelled(tmp_path):
    with Queue(Places(tmp_path)) as queue:
        ticket, work = held(queue)
        waiting = queue.hand_in("b", "more", noted([], ""))
        threading.Timer(0.05, work.go.set).start()
    assert ticket.state == waiting.state == State("cancelled") and not queue.worker.is_alive()


@pytest.mark.parametrize("work", [
    lambda: [*track(range(2), "working")], lambda: [*video(Scene(frames=2, size=(32, 32))).chunks(1)],
    lambda: Windowed(network := model(), 1).predict(clip(), network.levels(2)[0], asked().source)],
    ids=["steps", "frames of a clip", "frames of a pass"])
def test_long_work_ends_where_it_is_unwanted(work):
    with stoppable(lambda: False):
        work()
    with stoppable(lambda: True), pytest.raises(Cancelled):
        work()
    work()


# An edit

@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    home = tmp_path_factory.mktemp("home of somebody")
    video(Scene(frames=4, size=(64, 64))).write(home / "clip.mp4")
    with Queue(Places(home / "runs")) as queue:
        yield Studio(queue.places, queue, Rules())


@pytest.fixture(scope="module")
def form(studio):
    clip = uploads.taken(studio.places.runs.parent / "clip.mp4", "My ball.mov", studio.places)
    return Form(clip.name, "a red ball on the grass", "a blue ball on the grass\na red fish on the grass", "newtake",
                {"steps": 2}, weights="blue=1.5", box="0.0,0.0,1.0,1.0", guests="tiny-controlnet:scale=0.5", frames=2,
                size="64x64", seed=3)


@pytest.fixture(scope="module")
def past(studio, form):
    ticket = studio.queue.submit("a", studio.job(form))
    assert ticket.over.wait(SOON) and ticket.state.kind == "done", ticket.state
    return history.opened(ticket.state.result, studio.places)


def test_an_edit_is_in_the_history_with_its_form(studio, form, past):
    assert past.name == "My-ball-newtake-1" and [one.name for one in history.runs(studio.places)] == [past.name]
    assert past.targets == ("a blue ball on the grass", "a red fish on the grass") and past.source == form.source
    assert all(file.is_file() for file in past.files) and len(past.edits) == 2
    assert filled(past.told, studio.places) == (form, [])
    again = uploads.taken(past.edits[0], "edit.mp4", studio.places)
    assert filled(again.told, studio.places) == filled(uploads.recipe(past.recipe), studio.places) == (form, [])


def test_a_recipe_tells_nothing_of_the_machine(studio, past):
    told = past.recipe.read_text()
    assert studio.places.runs.parent.name not in told and f"{studio.places.uploads.name}/" not in told


def test_what_is_not_there_any_more_is_told(studio, form, past, tmp_path):
    elsewhere = Places(tmp_path)
    job = past.told["job"] | {"model": "sd", "light": ["tiling"], "norms": "clip"}
    got, missing = filled(past.told | {"job": job}, elsewhere)
    assert got == replace(form, clip="") and len(missing) == 4


def test_a_forecast_says_what_it_would_take(studio, form):
    ticket = studio.queue.forecast("a", studio.job(form))
    assert ticket.over.wait(SOON) and ticket.state.kind == "done", ticket.state
    assert "2 frames of 64x64" in ticket.state.result[0] and "evaluations" in ticket.state.result[1]


def test_words_are_shown_where_they_are(studio, form):
    scene = Scene(object="ball", colour="red", background="grass", frames=4, size=(64, 64))
    few = pictures.few(replace(form, box="", guests="", frames=None, stride=2, settings={}), studio.places)
    ticket = studio.queue.locate("a", studio.job(replace(few, targets="a blue ball on the grass", words="ball", weights="")))
    assert ticket.over.wait(SOON) and ticket.state.kind == "done", ticket.state
    frames, numbers = ticket.state.result
    plain = uploads.opened(form.clip, studio.places).frames(0, 2, 2)
    spared = np.stack([(np.array(a) == np.array(b)).all(-1) for a, b in zip(frames, plain, strict=True)])
    there = masks(scene)[::2] > 0
    assert [*numbers] == [0, 2] and spared[there].mean() > 0.9 and spared[~there].mean() < 0.1
    ticket = studio.queue.locate("a", studio.job(replace(few, targets="a big red ball on the grass", weights="")))
    assert ticket.over.wait(SOON) and ticket.state.kind == "refused" and "no word of the clip changes" in ticket.state.line


def test_the_network_is_kept_and_another_takes_its_place(studio, form, monkeypatch):
    loaded = []
    monkeypatch.setattr("newtake.models.load.load", lambda *given, **named: loaded.append(given[0]) or load(*given, **named))
    plain = studio.job(replace(form, guests=""))
    studio.queue.way.kept.clear()
    jobs = [plain, replace(plain, seed=1), replace(plain, norms="clip"), plain]
    tickets = [studio.queue.forecast("a", job) for job in jobs]
    assert all(ticket.over.wait(SOON) and ticket.state.kind == "done" for ticket in tickets)
    assert len(loaded) == 3 and len(studio.queue.way.kept) == 1


def test_an_edit_is_cancelled_in_the_middle_and_leaves_nothing(studio, form, monkeypatch):
    there = lambda: {path.name for path in studio.places.runs.iterdir()}
    before, seen, reached, go = there(), [], threading.Event(), threading.Event()

    def slow(step, of, picture):
        seen.append(picture.shape)
        reached.set()
        assert go.wait(SOON)

    monkeypatch.setattr("newtake.models.watched.preview_file", lambda path: slow)
    ticket = studio.queue.submit("a", studio.job(replace(form, settings={"steps": 5})))
    assert reached.wait(SOON) and ticket.state.what == "editing"
    ticket.cancel()
    go.set()
    assert ticket.over.wait(SOON) and ticket.state == State("cancelled")
    assert len(seen) == 1 and there() == before


@pytest.mark.parametrize("where", ["encoding", "inverting", "editing", "decoding", "writing"])
def test_wherever_it_is_cancelled_nothing_is_left(studio, form, tmp_path, where):
    job, seen = studio.job(replace(form, targets="a blue fish on the grass", weights="", guests="")), []
    with stoppable(lambda: where in seen), watched(lambda what, done, of: seen.append(what)), pytest.raises(Cancelled):
        run(job, tmp_path / "run", replace(studio.queue.way, cache="none"))
    assert seen[-1] == where and not [*tmp_path.iterdir()]


def test_a_job_that_is_wrong_is_refused_in_a_line(studio, form):
    ticket = studio.queue.submit("a", studio.job(replace(form, targets="")))
    assert ticket.over.wait(SOON)
    assert ticket.state == State("refused", line="the target prompt is empty; say what the clip should become")


def test_scores_are_made_once_and_kept_beside(studio, past, monkeypatch):
    assert past.scores is None
    ticket = studio.queue.score("a", past)
    assert ticket.over.wait(SOON) and ticket.state.kind == "done", ticket.state
    assert past.scores == ticket.state.result and {*past.scores} == {"edit.mp4", "edit-2.mp4"}
    assert past.scores["edit.mp4"]["psnr_to_source"] == pytest.approx(past.told["edits"][0]["scores"]["psnr_to_source"], abs=1)
    monkeypatch.setattr("newtake.bench.score.score", None)
    assert history.scored(past) == past.scores


def test_what_is_no_run_is_not_in_the_history(studio, past):
    home = studio.places.runs
    for name, text in (("torn", past.recipe.read_text()[:50]), ("other", "{}"), ("empty", past.recipe.read_text())):
        (home / name).mkdir()
        (home / name / "run.json").write_text(text)
        with pytest.raises(BadInput):
            history.opened(name, studio.places)
    (home / "linked").symlink_to(home.parent)
    assert [one.name for one in history.runs(studio.places)] == [past.name]


def test_the_captioner_reads_what_a_clip_shows(studio, form):
    assert studio.caption(replace(form, source="", targets="")) == "a red ball on the grass"
    with pytest.raises(BadInput, match="bring one"):
        studio.caption(Form())
