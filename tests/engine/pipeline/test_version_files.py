from __future__ import annotations

import pytest

from towline.pipeline.version_files import version_in

POM = (
    "<?xml version='1.0'?><!-- <version>0</version> --><project xmlns='a'><parent><version>9"
    "</version></parent><dependencies><dependency><version>8</version></dependency></dependencies>"
    "<version>1.2.3</version></project>"
)
PROPERTY = (
    "<project><version>${revision}-b</version><properties><revision>2</revision></properties>"
    "</project>"
)
TOML = '[tool.x]\nversion = "9"\n[project]\nversion = "1.2" # now\n'


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("pom.xml", POM, "1.2.3"),
        ("pom.xml", "<project><parent><version>4</version></parent><x/></project>", "4"),
        ("pom.xml", PROPERTY, "2-b"),
        ("package.json", '{"version": "1.0.0", "a": {"version": "2"}}', "1.0.0"),
        ("mta.yaml", "ID: a\nversion: 1.10", "1.10"),
        ("a/Chart.yaml", "version: 0.1.0", "0.1.0"),
        ("VERSION", "\n1.2\nmore", "1.2"),
        ("version.txt", "1.2", "1.2"),
        ("pyproject.toml", TOML.replace(" # now", ""), "1.2"),
        ("pyproject.toml", TOML, "1.2"),
        ("pyproject.toml", "[tool.poetry]\nversion = '1.3'", "1.3"),
        ("setup.py", "setup(name='a', version='1.2')", "1.2"),
        ("gradle.properties", "a=b\nversion = 1.2\n", "1.2"),
        ("build.sbt", 'version := "1.2"', "1.2"),
    ],
)
def test_each_kind_of_descriptor_has_its_version(path: str, text: str, expected: str) -> None:
    assert version_in(path, text) == expected


@pytest.mark.parametrize(
    ("path", "text", "field", "section"),
    [
        ("a.json", '{"app": {"release": "1.2"}}', "app.release", ""),
        ("a.json", '{"app.release": "1.2", "app": {"release": 3}}', "app.release", ""),
        ("a.yml", "app: {release: 1.2}", "app/release", ""),
        ("a.cfg", "release: 0\n[app]\nrelease = '1.2'\n", "release", "app"),
        ("a.ini", "release=1.2\n[app]\nrelease=0\n", "release", ""),
        ("a.toml", "[app]\nrelease = '1.2'", "release", "app"),
    ],
)
def test_a_version_may_have_another_name_and_place(
    path: str, text: str, field: str, section: str
) -> None:
    assert version_in(path, text, field=field, section=section) == "1.2"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("VERSION", ""),
        ("package.json", "{"),
        ("package.json", "[1]"),
        ("package.json", '{"version": true}'),
        ("package.json", '{"version": {"a": 1}}'),
        ("Chart.yaml", "version: ["),
        ("pom.xml", "</a></b><version>1.2</version>"),
        ("pom.xml", "<project><version>${unknown}</version></project>"),
        ("setup.py", "setup(version=VERSION)"),
        ("pyproject.toml", "version = '1'"),
    ],
)
def test_what_is_not_a_version_is_not_taken(path: str, text: str) -> None:
    assert version_in(path, text) == ""
