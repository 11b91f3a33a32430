from __future__ import annotations

import io
import json
import tarfile

import pytest

from towline.errors import RenderError
from towline.gitops.helm.chart_files import check_schemas

URL = "http://169.254.169.254/latest/meta-data/"
OUTSIDE = (
    "http://10.9.8.7/schema.json",
    "https://schemas.example/x.json#/a",
    URL,
    "file:///etc/passwd",
    "file:///etc/shadow#/a",
    "other.json",
    "/x",
    "",
    "//host/x",
)


def packed(files: dict[str, object], *, kind: bytes = tarfile.REGTYPE) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def refused(files: dict[str, bytes]) -> RenderError:
    with pytest.raises(RenderError) as caught:
        check_schemas(files, "chart/")
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("key", ["$ref", "$dynamicRef", "$recursiveRef"])
@pytest.mark.parametrize("target", OUTSIDE)
def test_what_leads_out_of_a_schema_is_refused(key: str, target: str) -> None:
    for schema in ({key: target}, {"properties": {"x": {"allOf": [{"items": {key: target}}]}}}):
        fault = refused({"values.schema.json": json.dumps(schema).encode()})
        assert (fault.where, repr(target) in fault.message) == ("chart/values.schema.json", True)


@pytest.mark.parametrize(
    "text",
    [
        b'{"\\u0024ref": "http://10.9.8.7/"}',
        b'{"$ref": "http://10.9.8.7/", "$ref": "#"}',
        b'{"$ref": "#", "$ref": "http://10.9.8.7/"}',
        b'{"$ref": "h\xfft"}',
        b'{"$schema": "http://10.9.8.7/meta"}',
        b'{"properties": {"x": {"$schema": "file:///etc/passwd"}}}',
        b'{"$schema": "http://json-schema.org.evil.example/"}',
        b"{",
        b"",
        b"{} {}",
        b"[" * 100_000,
        b'\xef\xbb\xbf{"$ref": "http://10.9.8.7/"}',
    ],
)
def test_no_way_of_writing_it_helps(text: bytes) -> None:
    refused({"values.schema.json": text})


@pytest.mark.parametrize(
    "schema",
    [
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "$id": "https://example.com/values.schema.json",
            "$defs": {"a": {}},
            "$ref": "#/$defs/a",
        },
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$dynamicRef": "#node",
            "$ref": "#",
        },
        {
            "properties": {"$ref": {"type": "string"}, "$schema": {"$ref": "#/definitions/a"}},
            "definitions": {"a": {"enum": ["http://x/"]}},
        },
        True,
    ],
)
def test_what_refers_to_itself_passes(schema: object) -> None:
    files = {"values.schema.json": json.dumps(schema).encode(), "values.yaml": b"$ref: http://x/"}
    check_schemas({**files, "charts/a/values.schema.json": b"\xef\xbb\xbf{}"}, "chart/")


BAD = {"$ref": URL}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("charts/a/values.schema.json", json.dumps(BAD).encode()),
        ("charts/a/charts/b/values.schema.json", json.dumps(BAD).encode()),
        ("charts/a-1.tgz", packed({"a/Chart.yaml": b"name: a", "a/values.schema.json": BAD})),
        ("charts/a/charts/b-1.tgz", packed({"./b/values.schema.json": BAD})),
        ("charts/a-1.tgz", packed({"a/charts/b-1.tgz": packed({"b/values.schema.json": BAD})})),
        ("charts/a-1.tgz", packed({"a\\values.schema.json": BAD})),
        ("charts/a-1.tgz", packed({"a/x/../values.schema.json": BAD})),
        ("charts/a-1.tgz", packed({"a\\charts\\b.tgz": packed({"b/values.schema.json": BAD})})),
        ("charts/a-1.tgz", packed({"a/values.schema.json": BAD}, kind=b"Z")),
        ("charts/a-1.tgz", packed({"a/values.schema.json": BAD}, kind=tarfile.CONTTYPE)),
    ],
)
def test_charts_within_are_looked_into_as_helm_does(name: str, content: bytes) -> None:
    assert URL in refused({"Chart.yaml": b"", name: content}).message


def test_what_cannot_be_looked_into_is_refused() -> None:
    assert "not a packed chart" in refused({"charts/a.tgz": b"not gzip"}).message
    assert (
        "not a packed chart"
        in refused({"charts/a.tgz": packed({"a/values.schema.json": {}}) + b"behind"}).message
    )
    check_schemas({"files/dashboards.tgz": b"not gzip", "templates/x.tgz": b""}, "chart/")
