"""The files under deploy/ agree with each other, and docs/tpu.md with what is printed."""

import ast
import math
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def jobset():
    return yaml.safe_load((ROOT / "deploy" / "jobset.yaml").read_text())


def test_the_numbers_of_the_jobset_agree(jobset):
    [slice_job] = jobset["spec"]["replicatedJobs"]
    job = slice_job["template"]["spec"]
    pod = job["template"]["spec"]
    [container] = pod["containers"]
    hosts = job["parallelism"]
    chips = container["resources"]["limits"]["google.com/tpu"]
    topology = pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"]
    assert (jobset["kind"], slice_job["replicas"], hosts, job["completions"]) == ("JobSet", 1, 4, 4)
    assert chips * hosts == math.prod(map(int, topology.split("x")))
    assert container["resources"]["requests"] == container["resources"]["limits"]
    assert {"name": "PJRT_DEVICE", "value": "TPU"} in container["env"]
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    assert (ROOT / container["command"][1]).is_file()


def test_the_jobset_goes_on_after_exit_code_75(jobset):
    from mammolibs.errors import RunInterrupted

    job = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
    on_code = next(rule for rule in job["podFailurePolicy"]["rules"] if "onExitCodes" in rule)
    assert on_code["onExitCodes"]["values"] == [RunInterrupted.exit_code] and on_code["action"] == "FailJob"
    assert on_code["onExitCodes"]["containerName"] == job["template"]["spec"]["containers"][0]["name"]
    assert (job["backoffLimit"], job["template"]["spec"]["restartPolicy"]) == (0, "Never")
    [rule] = jobset["spec"]["failurePolicy"]["rules"]
    assert rule == {"action": "RestartJobSetAndIgnoreMaxRestarts", "onJobFailureReasons": ["PodFailurePolicy"]}


def test_the_image_copies_what_is_there():
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    assert copied and all((ROOT / name).exists() for line in copied for name in line.split())


def test_the_manual_quotes_messages_as_they_are_printed():
    """The first column of its tables of messages: what stands in backticks, with ... for what varies."""
    section = (ROOT / "docs" / "tpu.md").read_text().partition("## Errors")[2].partition("\n## ")[0]
    quoted = [text for line in section.splitlines() if line.startswith("| `") for text in re.findall(r"`([^`]+)`", line.split(" | ")[0])]
    assert len(quoted) > 10
    known = (
        "\0".join(texts(path) for path in sorted((ROOT / "mammolibs").rglob("*.py"))) + "\0" + (ROOT / "scripts" / "tpu_vm.sh").read_text()
    )
    for message in quoted:
        missing = [part for part in map(str.strip, message.split("...")) if part and part not in known]
        assert not missing, f"docs/tpu.md quotes {missing}, which no source says"


def texts(path):
    """The words of all strings in a file, those of one f-string joined by a zero."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            found.append("\0".join(v.value for v in node.values if isinstance(v, ast.Constant)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return "\0".join(found)
