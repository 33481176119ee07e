"""Many jobs from one file: what is refused, how many there are, what is skipped; the same bits here and from Ray's workers."""

import json
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from shutil import which

import pytest
import typer
import yaml
from shell import ran, refused

from newtake.cli import app
from newtake.engines import Began, Died, Ended, Task, engine
from newtake.engines.cluster import Cluster
from newtake.engines.queue import Queue
from newtake.engines.table import Board
from newtake.errors import BadInput
from newtake.run import Way
from newtake.sweep import carried_out, checked, finished, held, read, runs_of
from newtake.sweep.fields import COMMON
from newtake.world import Scene
from newtake.world.clips import video

SOURCE = "a red ball on the grass"
SMALL = {"source": SOURCE, "frames": 1, "size": "64x64", "device": "cpu", "targets": ["a blue ball on the grass"],
         "methods": "sdedit", "settings": {"steps": 2}}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for name, background in (("a.mp4", "grass"), ("b.mp4", "snow")):
        video(Scene(frames=2, size=(64, 64), background=background)).write(folder / name)
    return folder


def file(folder, told):
    path = folder / "jobs.yaml"
    path.write_text(told if isinstance(told, str) else yaml.safe_dump(told))
    return path


def jobs(folder, **told):
    """A file beside the clips, checked."""
    return checked(read(file(folder, SMALL | told))[0])


@pytest.mark.parametrize("wrong, line", [
    ({"clip": ["a.mp4"]}, "unknown key 'clip'; known are"), ({"metod": 1}, "unknown key 'metod'"),
    ({"methods": ["magic"]}, "unknown method 'magic'"), ({"settings": {"stepps": 2}}, "unknown setting 'stepps' of sdedit"),
    ({"settings": {"steps": [2, "many"]}}, "steps is a whole number"), ({"settings": {"steps": 0}}, "steps must be between"),
    ({"clips": ["nowhere.mp4"]}, "no such file"), ({"clips": ["*.avi"]}, "nothing is left to do"),
    ({"seeds": []}, "seeds is empty"), ({"settings": {"steps": []}}, "settings, steps, is empty"),
    ({"targets": None}, "one of targets is text"), ({"targets": [" "]}, "is text, not ' '"), ({"frames": 9}, "2 frames"),
    ({"seeds": ["x"]}, "a seed is a whole number"), ({"device": "abacus"}, "cpu, cuda or mps"),
    ({"model": "nobody/nothing"}, "cached"), ({"mask": "none.png"}, "no such file"), ({"weights": {"blue": "x"}}, "a number"),
    ({"source": None, "model": "."}, "say what the clip shows"), ({"guests": "edges:x"}, "no such folder"),
    ({"shares": {"blue": 2.0}}, "between 0 and 1"), ({"feather": 2}, "--keep-background"), ({"adapters": "none"}, "adapter"),
    ({"clips": ["a.mp4", "a.mp4"]}, "two jobs are the same"), ({"settings": [{"steps": 2}, {"steps": "2"}]}, "two jobs"),
    ({"settings": {name: list(range(10)) for name in "abcdef"}}, "1,000,000 jobs"), ({"jobs": []}, "jobs is a list"),
    ({"jobs": [{}, {"clips": [{"frames": 1}]}]}, "jobs.yaml, job 2: one of clips has no clip"),
    ({"clips": [{"clip": "a.mp4", "seed": 1}]}, "clips: unknown key 'seed'"), ({"threads": 0}, "above 0"),
    ("clips: [a.mp4", "no YAML"), ("- a", "no mapping"), ("seeds: 1\nseeds: 2", "'seeds' is there twice"),
    ("clips: !!python/name:os.system", "no YAML"), ("seeds: &a [1, 2]\ntargets: *a", "*a in line 2: write out"),
    ("seeds: 0x" + "f" * 9000, "more than 18 digits"), ({"seeds": 10 ** 30}, "more than 18 digits"),
    ({"clips": ["a" * 5000 + ".mp4"]}, "is no path: File name too long"), ({"mask": "a\0.png"}, "has a zero in it"),
    ({"clips": ["~of nobody/a.mp4"]}, "is no path: Could not"), ({"out": "~of nobody/out"}, "is no path: Could not"),
    ({"start": -1}, "start is a whole number, at least 0"), ({"box": [0, 0, 80, 8]}, "not inside of the picture"),
    ({"keep_background": True, "feather": 64}, "from 0 to 63"), ({"light": "feather"}, "make a model light 'feather'"),
    ({"light": ["compile", "fp8"]}, "compile does not go with fp8"),
    ("targets: a", "clips is missing"), ("clips: a.mp4", "targets is missing"),
])
def test_a_mistake_in_the_file_is_told_in_one_line(clips, wrong, line):
    path = file(clips, {"clips": ["a.mp4"]} | SMALL | wrong if isinstance(wrong, dict) else wrong)
    with pytest.raises(BadInput) as told:
        runs_of(checked(read(path)[0]), "cpu")
    assert line in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize("wrong", [{"methods": "magic"}, {"clips": ["a.mp4", "nowhere.mp4"]}, {"seeds": [1, 1]}])
def test_a_mistake_is_told_before_anything_runs(clips, tmp_path, wrong):
    refused("sweep", file(clips, {"clips": ["a.mp4"]} | SMALL | wrong), "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_engines_say_what_they_do_not_take(clips, tmp_path, monkeypatch):
    path = file(clips, SMALL | {"clips": "a.mp4"})
    assert "the engines are local and ray" in refused("sweep", path, "--engine", "mail")
    assert "--workers needs --engine ray" in refused("sweep", path, "--workers", 2)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert 'pip install "newtake[cluster]"' in refused("sweep", path, "--engine", "ray")
    (tmp_path / "sweep.json").write_text("{}")
    assert "is not of newtake sweep" in refused("sweep", path, "--out", tmp_path)
    assert "3 are meant" in refused("sweep", file(clips, SMALL | {"clips": "a.mp4", "seeds": [1, 2, 3, 4]}), "--most", 3)


def test_what_cannot_be_reached_is_told_before_a_folder_is_made(clips, tmp_path, monkeypatch):
    absent = lambda device: (_ for _ in ()).throw(BadInput(f"there is no device {device} here"))
    monkeypatch.setattr("newtake.engines.local.chosen_device", absent)
    path = file(clips, SMALL | {"clips": "a.mp4"})
    assert "there is no device cpu here" in refused("sweep", path, "--out", tmp_path / "out")
    if find_spec("ray"):
        with socket.create_server(("127.0.0.1", 0)) as taken:           # and let go of: nobody listens there
            port = taken.getsockname()[1]
        for address, line in ((f"127.0.0.1:{port}", "refused; give"), ("wrong", "give HOST:PORT"), ("", "leave it out")):
            assert line in refused("sweep", path, "--engine", "ray", "--address", address, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_pattern_has_no_letters_but_its_own(clips):
    folder = clips / "cut [1]"
    folder.mkdir()
    (folder / "c.mp4").write_bytes((clips / "a.mp4").read_bytes())
    found = [Path(job.clip).relative_to(clips) for job in jobs(clips, clips="cut [1]/?.mp4")]
    assert found == [Path("cut [1]/c.mp4")]


def test_jobs_are_the_product_of_the_lists(clips):
    made = jobs(clips, clips=["*.mp4"], seeds=[0, 1, 2], targets=["a blue ball", {"target": "a red fish", "words": ["fish"]}],
                methods=["ddim", {"method": "sdedit:strength=0.5", "settings": [{"steps": [2, 3]}, {"steps": 4}]}])
    expected = product(["a.mp4", "b.mp4"], [("ddim", 2), ("sdedit", 2), ("sdedit", 3), ("sdedit", 4)],
                       ["a blue ball", "a red fish"], range(3))
    found = [(Path(job.clip).name, (job.method, job.settings["steps"]), *job.targets, job.seed) for job in made]
    assert sorted(found) == sorted(expected)
    assert {job.words for job in made if job.targets == ("a red fish",)} == {("fish",)}
    assert {job.settings["strength"] for job in made if job.method == "sdedit"} == {0.5}
    assert {(job.threads, job.dtype, job.windows) for job in made} == {(1, "fp32", (16, 16))}


def test_blocks_have_what_is_common_and_their_own(clips):
    made = jobs(clips, clips=["a.mp4", {"clip": "b.mp4", "targets": ["a fish"], "start": 1}],
                jobs=[{"seeds": [0, 1]}, {"methods": "ddim", "frames": 1, "window": 3, "clips": "a.mp4"}])
    assert [(Path(job.clip).name, *job.targets, job.method, job.seed, job.start, job.windows) for job in made] == [
        ("a.mp4", *SMALL["targets"], "sdedit", 0, 0, (16, 16)), ("a.mp4", *SMALL["targets"], "sdedit", 1, 0, (16, 16)),
        ("b.mp4", "a fish", "sdedit", 0, 1, (16, 16)), ("b.mp4", "a fish", "sdedit", 1, 1, (16, 16)),
        ("a.mp4", *SMALL["targets"], "ddim", 0, 0, (3, 3))]


def test_a_runs_name_is_of_what_decides_it_and_not_of_where_it_lies(clips, tmp_path):
    names = lambda folder, **told: [run.name for run in runs_of(jobs(folder, clips="a.mp4", **told), "cpu")]
    (before,) = names(clips)
    (tmp_path / "a.mp4").write_bytes((clips / "a.mp4").read_bytes())
    assert names(tmp_path) == [before]
    changes = [dict(seeds=1), dict(dtype="bf16"), dict(threads=2), dict(window=8), dict(settings={"steps": 3}),
               dict(targets="a fish"), dict(words="ball")]
    others = [name for told in changes for name in names(clips, **told)]
    (tmp_path / "a.mp4").write_bytes((clips / "b.mp4").read_bytes())
    assert len({before, *others, *names(tmp_path)}) == len(changes) + 2


@pytest.mark.parametrize("seed", range(5))
def test_a_queue_gives_each_task_once_and_keeps_groups_together(seed):
    drawn, took = random.Random(seed), {"x": [], "y": []}
    tasks = [Task(f"{group}{i}", group, None) for group in "abc" for i in range(4)]
    queue = Queue(tasks)
    while queue:
        worker = drawn.choice("xy")
        took[worker].append(queue.take(worker))
    assert sorted(took["x"] + took["y"]) == sorted(tasks) and queue.take("x") is None
    for mine, theirs in (("x", "y"), ("y", "x")):       # nobody takes of a group that another began while one waits untouched
        own = list(dict.fromkeys(task.group for task in took[mine]))
        first = {task.group for task in took[theirs][:1]}
        assert own[:1] and (not first or {*own[:1]} != first)


# Carried out

@pytest.fixture(scope="module")
def four(clips):
    """Two clips with two seeds each."""
    return runs_of(jobs(clips, clips=["a.mp4", "b.mp4"], seeds=[0, 1]), "cpu")


@pytest.fixture(scope="module")
def here(clips, four, tmp_path_factory):
    """The four by this process: the folder, and what was said."""
    out = tmp_path_factory.mktemp("here") / "out"
    path = file(clips, SMALL | {"clips": ["a.mp4", "b.mp4"], "seeds": [0, 1]})
    code, said, told = ran("sweep", path, "--out", out, "--cache", out.parent / "cache", "--json")
    assert code == 0, told
    return out, path, json.loads(said), told


def test_here_all_are_done_and_there_is_one_report(here, four):
    out, _, said, told = here
    assert {one.name for one in out.iterdir()} == {*(run.name for run in four), "sweep.json", "report.html", ".sweep.lock"}
    assert (said["jobs"], said["done"], said["given_up"]) == (4, 4, {}) and "4 of 4 done" in told
    assert len({bits(out, run)[0] for run in four}) == 4 and (out / "report.html").read_text().count("<figure") == 4
    record = json.loads((out / four[0].name / "run.json").read_text())
    assert record["machine"]["threads"] == 1 and record["model"]["dtype"] == "float32" and record["job"]["windows"] == [1, 1]


def test_the_same_command_does_nothing_and_says_so(here, four):
    out, path, *_ = here
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file()}
    code, _, told = ran("sweep", path, "--out", out)
    assert code == 0 and "4 of 4 are done already: there is nothing to do" in told
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file()} == before
    assert "4 jobs of 2 clips; 4 of them are done already" in ran("sweep", path, "--out", out, "--dry-run")[1]
    with held(out), pytest.raises(BadInput, match="another newtake sweep works"), held(out):
        pass


def test_what_is_missing_is_made_and_what_fails_does_not_stop_the_rest(here, four, clips, tmp_path, monkeypatch):
    """One is gone, one is half-made, one cannot be done: a word that is in no prompt is seen only when it runs."""
    out, _, *_ = here
    wrong = runs_of(jobs(clips, clips="a.mp4", seeds=9, weights={"zebra": 2.0}), "cpu")
    with held(tmp_path):
        for run in four[1:]:
            (tmp_path / run.name).symlink_to(out / run.name)
        (tmp_path / f".{four[0].name}.0.part").mkdir()
        ends = [event for event in carried_out(engine("local", tries=2), [*wrong, *four], tmp_path, Way(cache="none"))
                if isinstance(event, Ended)]
    assert [one.reason is None for one in ends] == [False, True, True, True, True] and "zebra" in ends[0].reason
    assert ends[0].tries == 1 and bits(tmp_path, four[0]) == bits(out, four[0])     # refused, not tried again
    assert not [*tmp_path.glob("*.part")] and ends[2].seconds < ends[1].seconds


def test_what_fails_is_tried_again_and_given_up_with_its_reason():
    def make():
        left = [1]

        def work(given):
            if given == "once" and left:
                raise OSError(left.pop())
            if given == "always":
                raise MemoryError("too large")
            return given
        return work
    tasks = [Task(name, "", name) for name in ("once", "always", "never")]
    events = [*engine("local", tries=3).carried_out(make, tasks, "cpu", 1)]
    ends = {one.task.name: (one.tries, one.result, one.reason) for one in events if isinstance(one, Ended)}
    assert ends == {"once": (2, "once", None), "always": (3, None, "MemoryError: too large (tried 3 times)"),
                    "never": (1, "never", None)}
    board = Board(3)
    lines = [line for event in events if (line := board.note(event))]
    assert sum("tried again" in line for line in lines) == 3 and "always is given up: MemoryError" in lines[-1]
    assert "2 of 3 done, 1 given up" in board.total() and board.__rich__().row_count == 1


# By Ray

@pytest.fixture(scope="module")
def cluster():
    if not find_spec("ray"):
        pytest.skip("Ray is not installed: pip install newtake[cluster]")
    if sys.platform == "win32":
        pytest.skip("there is no kill -9")
    with Cluster(2, None, 2) as ours:
        yield ours


def test_two_workers_one_killed_make_the_same_bits(cluster, here, four, tmp_path):
    killed, events = None, []
    with held(tmp_path):
        for event in carried_out(cluster, four, tmp_path, Way(cache=str(tmp_path / "cache"))):
            events.append(event)
            if killed is None and isinstance(event, Began) and any(isinstance(one, Ended) for one in events):
                killed = event
                os.kill(int(event.worker.rpartition(":")[2]), signal.SIGKILL)
    ends = [one for one in events if isinstance(one, Ended)]
    assert sorted(one.task.name for one in ends) == sorted(run.name for run in four)
    assert [bits(tmp_path, run) for run in four] == [bits(here[0], run) for run in four]
    (died,) = [one for one in events if isinstance(one, Died)]
    assert died.task == killed.task and died.worker == killed.worker and "the worker died" in died.reason
    assert [one.tries for one in ends if one.task == killed.task] == [2]
    assert all(one.tries == 1 and one.reason is None for one in ends if one.task != killed.task)
    first = {one.worker: one.task.group for one in reversed(events) if isinstance(one, Began)}
    assert {first[one.worker] for one in events[:3] if isinstance(one, Began)} == {run.group for run in four}
    assert not [*tmp_path.glob("*.part")] and all(finished(tmp_path / run.name) for run in four)


def test_who_kills_its_workers_is_given_up_and_the_rest_is_done(cluster):
    def make():
        import os

        def work(given):
            if given == "deadly":
                os.kill(os.getpid(), 9)
            return given, os.environ["RAY_USAGE_STATS_ENABLED"], os.environ.get("RAY_AUTH_MODE")
        return work
    tasks = [Task(name, name, name) for name in ("deadly", "one", "two", "three")]
    ends = {one.task.name: one for one in cluster.carried_out(make, tasks, "cpu", 1) if isinstance(one, Ended)}
    assert len(ends) == 4 and ends["deadly"].tries == 2 and ends["deadly"].result is None
    assert "the worker died" in ends["deadly"].reason and "(tried 2 times)" in ends["deadly"].reason
    assert {name: one.result for name, one in ends.items() if name != "deadly"} == {
        name: (name, "0", os.environ.get("RAY_AUTH_MODE")) for name in ("one", "two", "three")}


def test_workers_that_do_not_start_are_told(cluster):
    def make():
        raise BadInput("nothing is here")
    with pytest.raises(BadInput, match=r"^no worker starts: nothing is here$"):
        [*cluster.carried_out(make, [Task("one", "", 1)], "cpu", 1)]


def bits(out, run):
    return [one["sha256"] for one in json.loads((out / run.name / "run.json").read_text())["edits"]]


# Files of docs/cluster

DOCS = Path(__file__).parents[1] / "docs"
FIELDS = {                                              # of ray.io/v1, as KubeRay's types have them
    "RayJob": "apiVersion kind metadata spec",
    "spec": "activeDeadlineSeconds backoffLimit rayClusterSpec submitterPodTemplate metadata clusterSelector submitterConfig "
            "managedBy deletionStrategy entrypoint runtimeEnvYAML jobId submissionMode entrypointResources entrypointNumCpus "
            "entrypointNumGpus ttlSecondsAfterFinished shutdownAfterJobFinishes suspend",
    "rayClusterSpec": "headGroupSpec workerGroupSpecs rayVersion enableInTreeAutoscaling autoscalerOptions authOptions "
                      "headServiceAnnotations suspend managedBy gcsFaultToleranceOptions",
    "headGroupSpec": "serviceType headService enableIngress rayStartParams template resources labels",
    "workerGroupSpecs": "groupName replicas minReplicas maxReplicas numOfHosts rayStartParams template scaleStrategy suspend "
                        "idleTimeoutSeconds resources labels",
    "template": "metadata spec", "pod": "containers volumes", "authOptions": "mode secretName",
    "containers": "name image resources volumeMounts env command args ports", "volumes": "name persistentVolumeClaim",
}


def known(what, told, *needed):
    assert {*needed} <= {*told} <= {*FIELDS[what].split()}, what
    return told


def test_the_kubernetes_file_has_the_fields_of_its_kind():
    job, policy = yaml.safe_load_all((DOCS / "cluster" / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob") and policy["kind"] == "NetworkPolicy"
    spec = known("spec", known("RayJob", job, "metadata", "spec")["spec"], "entrypoint", "rayClusterSpec")
    ray = known("rayClusterSpec", spec["rayClusterSpec"], "headGroupSpec", "workerGroupSpecs")
    assert known("authOptions", ray["authOptions"]) == {"mode": "token"}
    head = known("headGroupSpec", ray["headGroupSpec"], "rayStartParams", "template")
    assert head["serviceType"] == "ClusterIP"
    workers = [known("workerGroupSpecs", one, "groupName", "minReplicas", "maxReplicas", "template")
               for one in ray["workerGroupSpecs"]]
    for group in (head, *workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = known("pod", known("template", group["template"], "spec")["spec"], "containers", "volumes")
        mounted = {one["name"] for one in known("containers", pod["containers"][0], "name", "image")["volumeMounts"]}
        assert mounted == {known("volumes", one)["name"] for one in pod["volumes"]}
    options_are_known(spec["entrypoint"])


def test_the_slurm_file_is_a_script():
    path = DOCS / "cluster" / "sweep.sbatch"
    if not which("bash"):
        pytest.skip("there is no bash")
    assert subprocess.run(["bash", "-n", path], capture_output=True).returncode == 0
    script = path.read_text()
    assert script.index("#SBATCH") < script.index("set -euo") and "RAY_AUTH_MODE=token" in script
    options_are_known(script[script.index("\nnewtake "):])


def options_are_known(command):
    takes = {option for one in typer.main.get_command(app).commands["sweep"].params for option in one.opts}
    asked = {word for word in shlex.split(command) if word.startswith("--")}
    assert asked and asked <= takes


def test_the_example_of_the_docs_has_as_many_jobs_as_it_says(tmp_path):
    example = (DOCS / "sweep.md").read_text().split("```yaml")[1].split("```")[0]
    for clip in ("ball.mp4", "fish.mp4"):
        video(Scene(frames=12, size=(64, 64))).write(tmp_path / clip)
    given, out = read(file(tmp_path, example))
    assert len(checked(given)) == 36 and "36 in all" in (DOCS / "sweep.md").read_text() and out == tmp_path / "runs" / "colours"
    told = (DOCS / "sweep.md").read_text()
    assert [name for name in COMMON if f"`{name}`" not in told] == []
