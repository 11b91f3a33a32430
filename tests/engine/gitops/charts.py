"""Charts as dictionaries of files, and a fake `helm` program that reports its call."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

CHART_YAML = "apiVersion: v2\nname: app\nversion: 1.0.0\n"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
spec:
  replicas: {{ .Values.replicas | default 1 }}
  template:
    spec:
      containers:
        - name: app
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
"""


def chart(**templates: str) -> dict[str, str]:
    """A chart's files below `chart/app/`: `deployment.yaml` and the files that `templates` adds
    (`name=text` becomes templates/name.yaml).
    """
    files = {
        "chart/app/Chart.yaml": CHART_YAML,
        "chart/app/values.yaml": "replicas: 2\n",
        "chart/app/templates/deployment.yaml": DEPLOYMENT,
    }
    return files | {f"chart/app/templates/{name}.yaml": text for name, text in templates.items()}


def as_bytes(files: Mapping[str, str]) -> dict[str, bytes]:
    return {path: text.encode() for path, text in files.items()}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write the files below `folder`; returns `folder`."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def fake_helm(folder: Path, body: str) -> str:
    """The path of a program named helm that runs `body`, with `sys`, `os` and `json` imported."""
    program = folder / "helm"
    program.write_text(f"#!{sys.executable} -I\nimport json, os, sys\n{body}")
    program.chmod(0o755)
    return str(program)
