"""What an archive of a suite's results says of itself: a Workflow Run RO-Crate, written with the `rocrate` library.

https://www.researchobject.org/workflow-run-crate/profiles/workflow_run_crate: the workflow (the Snakefile), one action that ran
it, what went in (the configuration, the data set by its hash, package versions), and what came out (records, weights, tables),
every file with its SHA-256. Nothing in it depends on when or where it is written, so the same results give the same text.
"""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

METADATA = "ro-crate-metadata.json"
VERSION = "1.1"  # of RO-Crate, which version 0.5 of the profiles builds on
CONTEXT = "https://w3id.org/ro/terms/workflow-run/context"  # which knows sha256
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
MIT = "https://spdx.org/licenses/MIT"
FORMATS = {
    ".csv": "text/csv", ".html": "text/html", ".ipynb": "application/x-ipynb+json", ".json": "application/json",
    ".npz": "application/zip", ".rst": "text/x-rst", ".yaml": "application/yaml", ".yml": "application/yaml",
    **dict.fromkeys((".j2", ".smk", ".txt"), "text/plain"),
}  # fmt: skip
PAPER = "https://arxiv.org/abs/2405.20282"


class Content(NamedTuple):
    """A file of the archive. role: "workflow", "input", "output" or "about" (the archive itself)."""

    role: str
    size: int
    sha256: str


class Run(NamedTuple):
    """What ran. data: by data set and split, the SHA-256 of its files.  date: of the latest commit that made a number.

    licence: of the archive, an SPDX name or a sentence.
    """

    suite: str
    licence: str
    commit: str
    date: str
    versions: Mapping[str, str]
    data: Mapping[str, str]


def metadata(run: Run, contents: Mapping[str, Content], workflow: str) -> str:
    """The text of `ro-crate-metadata.json`. contents: by path within the archive, in the order in which they are listed.

    workflow: the path of the Snakefile among them.
    """
    from rocrate.model.computationalworkflow import ComputationalWorkflow
    from rocrate.model.contextentity import ContextEntity
    from rocrate.model.file import File
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version=VERSION)

    def entity(place: str, kind: str, **values: Any) -> Any:
        return crate.add(ContextEntity(crate, place, properties={"@type": kind} | values))

    crate.metadata.extra_contexts.append(CONTEXT)
    crate.metadata["conformsTo"] = [
        {"@id": crate.metadata.profile},
        {"@id": "https://w3id.org/workflowhub/workflow-ro-crate/1.0"},
    ]
    files: dict[str, Any] = {}
    for path, content in contents.items():
        kind = ComputationalWorkflow if path == workflow else File
        known = {"name": path, "sha256": content.sha256, "contentSize": str(content.size)}
        known["encodingFormat"] = FORMATS.get(PurePosixPath(path).suffix, "application/octet-stream")
        files[path] = crate.add(kind(crate, dest_path=path, properties=known))
    language = entity(
        "https://w3id.org/workflowhub/workflow-ro-crate#snakemake", "ComputerLanguage", name="Snakemake",
        url="https://snakemake.github.io", identifier={"@id": "https://doi.org/10.1093/bioinformatics/bts480"},
    )  # fmt: skip
    packages = [
        entity(_home(name), "SoftwareApplication", name=name, softwareVersion=number, url=_home(name))
        for name, number in run.versions.items()
    ]
    given = [
        entity(f"#data-{number}", "PropertyValue", name=f"{name}, SHA-256 of its files", value=digest)
        for number, (name, digest) in enumerate(run.data.items())
    ]
    mit = entity(MIT, "CreativeWork", name="MIT License", description="Free to use, change and pass on with its notice.")
    files[workflow]["programmingLanguage"] = language
    files[workflow]["softwareRequirements"] = packages
    files[workflow]["license"] = mit
    by_role = {role: [files[path] for path, content in contents.items() if content.role == role] for role in ("input", "output")}
    action = entity(
        "#run", "CreateAction", name=f"suite {run.suite}: trained, evaluated and reported",
        description="Snakemake ran the workflow with this configuration on this data.", instrument=files[workflow],
        object=[*by_role["input"], *given], result=by_role["output"],
    )  # fmt: skip
    crate.name = f"SemFlow, replicated: results of suite {run.suite}"
    crate.description = (
        f"Records, weights and tables of suite {run.suite}, and what made them. Made with the code of commit {run.commit}; "
        f"a replication of {PAPER}."
    )
    crate.datePublished = run.date
    crate.license = mit if run.licence == "MIT" else run.licence
    crate.root_dataset["mainEntity"] = files[workflow]
    crate.root_dataset["mentions"] = action
    crate.root_dataset["conformsTo"] = [
        entity(identifier, "CreativeWork", name=name, version=version) for identifier, (name, version) in PROFILES.items()
    ]
    return json.dumps(crate.metadata.generate(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _home(package: str) -> str:
    return "https://www.python.org" if package == "python" else f"https://pypi.org/project/{package}"
