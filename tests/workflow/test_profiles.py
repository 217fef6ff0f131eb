"""The profiles of clusters: what they ask for, and that work survives a node that dies.

SLURM itself is run by `make test-slurm`. A Kubernetes is not to be had here, so one that understands as much of its API as the
plugin uses runs each pod as a process of this machine, in a folder of its own with the claim's folder mounted, that is linked.
"""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "workflow", "config", "profiles", "semflow", "baselines", "environment.yml")
EVALUATED = "results/smoke/records/scenes-test/semflow/segmentation/euler-1/train0-sample0.json"

with_plugins = pytest.mark.skipif(
    any(importlib.util.find_spec(f"snakemake_executor_plugin_{name}") is None for name in ("slurm", "kubernetes")),
    reason="`make cluster` installs the plugins",
)


@pytest.fixture
def tree(tmp_path) -> Path:
    place = tmp_path / "tree"
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        place.mkdir(exist_ok=True)
        copy(ROOT / part, place / part)
    return place


def environment(tree: Path) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tree), os.environ.get("PYTHONPATH", "")]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def planned(tree: Path, profile: str) -> dict[str, str]:
    """Resources and command of the first job of each rule in a dry run."""
    words = ["-n", "-p", "--profile", f"profiles/{profile}", "reproduce_table2", "--configfile", "config/smoke.yaml"]
    done = subprocess.run(["snakemake", *words], cwd=tree, env=environment(tree), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    blocks = re.findall(r"^rule (\w+):\n(.*?)(?=^\[)", done.stdout + done.stderr, re.MULTILINE | re.DOTALL)
    return dict(reversed(blocks))


@with_plugins
@pytest.mark.parametrize("profile", ["slurm", "kubernetes"])
def test_trainings_get_all_gpus_of_a_node_and_evaluations_one(tree, profile):
    jobs = planned(tree, profile)
    assert " gpu=8" in jobs["train"]
    assert "--devices 8 " in jobs["train"]
    assert " gpu=1" in jobs["evaluate_dsm_seed0_table2"]
    assert " gpu=1" in jobs["evaluate_control_controls_table2"]  # the oracle of a large autoencoder would take a core days
    assert " gpu=" not in jobs["table"]


@pytest.mark.parametrize("profile", ["slurm", "kubernetes"])
def test_a_job_whose_node_dies_is_submitted_again(profile):
    settings = yaml.safe_load((ROOT / f"profiles/{profile}/profile.yaml").read_text())
    assert settings["retries"] > 0
    assert settings["executor"] == profile


def test_the_default_profile_sets_no_limit_that_a_cluster_would_inherit():
    """Snakemake lets ./profiles/default override the profile that it is given."""
    default = yaml.safe_load((ROOT / "profiles/default/profile.yaml").read_text())
    for name in ("slurm", "kubernetes"):
        assert not default.keys() & yaml.safe_load((ROOT / f"profiles/{name}/profile.yaml").read_text()).keys() - {
            "rerun-incomplete",
            "show-failed-logs",
            "printshellcmds",
        }
    assert "resources" not in default


class Cluster:
    """Jobs and secrets of one namespace; a job's only pod is a process here."""

    def __init__(self, folder: Path, claim: Path, tools: str) -> None:
        self.folder, self.claim, self.tools = folder, claim, tools
        self.asked: list[dict[str, Any]] = []
        self.pods: dict[str, subprocess.Popen] = {}

    def create(self, job: dict[str, Any]) -> None:
        container = job["spec"]["template"]["spec"]["containers"][0]
        name = job["metadata"]["name"]
        workdir = self.folder / f"pod{len(self.asked)}"
        workdir.mkdir()
        (workdir / "results").symlink_to(self.claim)
        self.asked.append(job["spec"]["template"]["spec"])
        variables = os.environ | {"PATH": self.tools, "PYTHONPATH": environment(ROOT)["PYTHONPATH"], "HOME": str(self.folder)}
        variables.pop("KUBECONFIG", None)
        log = (workdir / "log").open("w")
        command = [*container["command"], *container["args"]]
        self.pods[name] = subprocess.Popen(command, cwd=workdir, env=variables, stdout=log, stderr=log, start_new_session=True)

    def status(self, name: str) -> dict[str, Any]:
        code = self.pods[name].poll()
        return {"succeeded": 1} if code == 0 else {"active": 1} if code is None else {"failed": 1}

    def pod(self, name: str) -> dict[str, Any]:
        code = self.pods[name].poll()
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        container = {"name": "snakemake", "image": "", "imageID": "", "ready": True, "restartCount": 0, "state": state}
        return {"metadata": {"name": f"{name}-pod"}, "status": {"containerStatuses": [container]}}

    def kill(self) -> None:
        """End every pod at once and without a warning."""
        for pod in self.pods.values():
            if pod.poll() is None:
                os.killpg(pod.pid, signal.SIGKILL)


class Api(BaseHTTPRequestHandler):
    cluster: Cluster

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/jobs"):
            self.cluster.create(body)
        self.answer(body)

    def do_GET(self) -> None:
        if "/pods?" in self.path:
            name = re.search(r"job-name(?:=|%3D)([\w-]+)", self.path)[1]
            self.answer({"items": [self.cluster.pod(name)]})
        elif "/log" in self.path:
            self.answer({})
        else:
            name = re.search(r"/jobs/([\w-]+)/status", self.path)[1]
            self.answer({"metadata": {"name": name}, "status": self.cluster.status(name)})

    def do_DELETE(self) -> None:
        self.answer({})

    def answer(self, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def kubernetes(tmp_path, monkeypatch) -> Iterator[Cluster]:
    """A cluster that KUBECONFIG leads to. Its image has this environment, and wheels of its own, so that pip fetches nothing."""
    tools = tmp_path / "image"
    tools.mkdir()
    (tools / "pip").write_text("#!/bin/sh\n")
    (tools / "pip").chmod(0o755)
    (tmp_path / "claim").mkdir()
    path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    cluster = Cluster(tmp_path, tmp_path / "claim", path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneCluster", (Api,), {"cluster": cluster}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}]
    context = [{"name": "here", "context": {"cluster": "here", "user": "me"}}]
    settings = {"clusters": here, "contexts": context, "users": [{"name": "me", "user": {}}], "current-context": "here"}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(settings | {"apiVersion": "v1", "kind": "Config"}))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    yield cluster
    cluster.kill()
    server.shutdown()


@with_plugins
@pytest.mark.skipif(shutil.which("rsync") is None, reason="the storage plugin of the profile copies with rsync")
@pytest.mark.slow
def test_on_kubernetes_a_training_goes_on_after_its_pod_died(tree, kubernetes, start):
    suite = yaml.safe_load((tree / "config/smoke.yaml").read_text())
    suite["training"] |= {"steps": 200}
    (tree / "config/smoke.yaml").write_text(yaml.safe_dump(suite))
    (tree / "results").symlink_to(kubernetes.claim)
    words = ["--profile", "profiles/kubernetes", EVALUATED, "--configfile", "config/smoke.yaml", "--jobs", "2"]
    here = ["--set-resources", "train:gpu=1", "--set-threads", "train=1", "evaluate=1", "--seconds-between-status-checks", "1"]
    here += ["--default-storage-prefix", kubernetes.claim / "store"]
    with (tree / "story.log").open("w") as story:
        workflow = start(["snakemake", *words, *here], cwd=tree, env=environment(tree), stdout=story, stderr=story)
        saved = None
        while saved is None and workflow.poll() is None:
            saved = next(kubernetes.claim.glob("smoke/state/semflow-*/state.safetensors"), None)
            time.sleep(0.1)
        kubernetes.kill()
        workflow.wait(300)
    assert workflow.returncode == 0, (tree / "story.log").read_text()
    log = (kubernetes.claim / "store/results/smoke/logs/train-semflow-seed0.log").read_text()
    assert "goes on from step" in log
    assert (kubernetes.claim / "store" / EVALUATED).exists()
    asked = kubernetes.asked[0]
    assert asked["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"  # without a limit Kubernetes gives none
    volumes = {one["persistentVolumeClaim"]["claimName"] for one in asked["volumes"] if "persistentVolumeClaim" in one}
    assert volumes == {"semflow-results", "semflow-data", "semflow-weights"}
