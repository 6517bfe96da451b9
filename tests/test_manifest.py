from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_study import MANIFEST, tiny, write_study

from analysis.manifest import (
    LatencyStudy,
    json_schema,
    load_any,
    load_study,
    verify_checksums,
)
from analysis.studies import shipped
from complexity.errors import InputError
from complexity.files import sha256_bytes, to_json

TEXT = """\
version: 1
name: tiny
title: t
license: MIT
images:
  source: images
samples:
  path: samples.csv
analysis:
  primary: {metric: edge_density}
  metrics: [edge_density, object_count]
"""


def fails(folder: Path, text: str | bytes) -> str:
    """Load a manifest that must be refused; return what is said, without the path."""
    path = folder / "manifest.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        load_study(path)
    said = str(caught.value)
    assert str(path) in said
    return said.replace(str(path), "M")


def test_the_shipped_studies_load() -> None:
    assert list(shipped()) == [
        *("chartqa", "clevr", "docvqa", "easy_vqa", "gqa", "hf_parquet"),
        *("lfm2_8b_a1b", "nlvr", "ok_vqa", "pope", "qwen3_vl_30b_a3b"),
        *("shapes", "shapes_large", "shapes_seeds", "textvqa", "vizwiz", "vqa_v2"),
    ]
    for name in shipped():
        study = load_any(name)
        assert study.name == name
        own = name.startswith("shapes") or isinstance(study, LatencyStudy)
        assert study.manifest.citation or own


def test_the_published_schema_is_in_step(root: Path) -> None:
    published = (root / "data_manifests" / "manifest.schema.json").read_text(encoding="utf-8")
    assert published == to_json(json_schema()), (
        "data_manifests/manifest.schema.json is out of date; write it again with "
        "complexity.files.write_json(path, analysis.manifest.json_schema())"
    )


def test_shipped_sums_are_right() -> None:
    assert [path.name for path in verify_checksums(load_study("shapes"))] == ["images.parquet"]


def test_design_example_is_understood(tmp_path: Path) -> None:
    study = load_study(write_study(tmp_path))
    assert study.manifest.scorer == "exact"
    assert study.manifest.object_count.source == "proto"
    assert study.manifest.analysis.buckets.scheme == "quantile"
    assert study.manifest.analysis.buckets.n == 3
    assert study.manifest.results[0].k.column == "k"
    assert study.root == tmp_path.resolve()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("source: images", "sourc: images"), "M, line 6: images.sourc: unknown key (did you mean "
         "'source'?); known here: source, id, sha256"),
        (("source: images", "sourc: images"), "M, line 5: images.source: is missing; add it"),
        (("version: 1", "version: 2"), "M, line 1: version: must be 1, not the number 2"),
        (("version: 1\n", ""), "M, line 1: version: is missing; add it"),
        (("title: t", "title: 7"), "M, line 3: title: must be text, not the number 7; put it in "
         "quotes"),
        (("title: t", "title: no"), "line 3: title: must be text, not false (yes, no, on and off "
         "are read as true and false); put it in quotes"),
        (("title: t", "title:"), "M, line 3: title: is empty; fill it in"),
        (("source: images", "source: [a]"), "M, line 6: images.source: must be text, not a list"),
        (("images:\n  source: images", "images: here"), "M, line 5: images: must be a mapping of "
         "'key: value' lines, not the text 'here'"),
        (("name: tiny", "name: ti/ny"), "M, line 2: name: must be made of letters, digits and ._-"),
        (("[edge_density, object_count]", "[edge_densty]"), "M, line 11: analysis.metrics: unknown "
         "metric 'edge_densty' (did you mean 'edge_density'?)"),
        (("[edge_density, object_count]", "[edge_density, edge_density]"), "names a metric twice"),
        (("[edge_density, object_count]", "[]"), "M, line 11: analysis.metrics: is empty"),
        (("[edge_density, object_count]", "edge_density"), "line 11: analysis.metrics: must be a "
         "list, such as [a, b], not the text 'edge_density'"),
        (("{metric: edge_density}", "{metric: entropy_gray}"), "line 9: analysis: primary.metric "
         "'entropy_gray' is not among metrics"),
        (("{metric: edge_density}", "{metric: edge_density, curve: cubic}"), "M, line 10: "
         "analysis.primary.curve: must be 'saturated', not the text 'cubic'"),
        (("path: samples.csv", "path: samples.csv\n  format: gqla"), "M, line 9: samples.format: "
         "unknown samples format 'gqla' (did you mean 'gqa'?); this version knows table, easy-vqa, "
         "nlvr, vqa-v2, ok-vqa"),
        (("name: tiny", "name: tiny\nscorer: exakt"), "M, line 3: scorer: unknown scorer 'exakt' "
         "(did you mean 'exact'?)"),
        (("name: tiny", "name: tiny\nname: other"), "M, line 3: name is given twice (first in line "
         "2); keep one of them"),
        (("name: tiny", "name: tiny\nobject_count: {from: detektor}"), "M, line 3: "
         "object_count.from: must be 'annotations', 'detector' or 'proto', not the text "),
        (("name: tiny", "name: tiny\nobject_count: {from: annotations}"), "line 3: object_count: "
         "from: annotations needs 'column'"),
        (("name: tiny", "name: tiny\ndata_root: {pakage: x}"), "line 3: data_root.pakage: unknown "
         "key (did you mean 'package'?)"),
        (("name: tiny", "name: tiny\ndata_root: 3"), "line 3: data_root: must be text, not the "
         "number 3"),
        (("source: images", "source: images\n  sha256: {a.parquet: abc}"), "line 7: "
         "images.sha256.a.parquet: must be a SHA-256, 64 hexadecimal digits"),
        (("name: tiny", "name: tiny\nseed: 1.5"), "line 3: seed: must be a whole number"),
        (("name: tiny", "name: tiny\nresults:"), "line 3: results: is empty; fill it in or remove"),
        (("name: tiny", "name: tiny\nresults: [{path: r.csv, k: {value: 0}}]"), "line 3: "
         "results[0].k.value: must be greater than or equal to 1, not the number 0"),
        (("name: tiny", "name: tiny\nresults: [{path: r.csv, k: {}}]"), "line 3: results[0].k: "
         "give just one of column, value, file_name and metadata"),
        (("name: tiny", "name: tiny\nresults: [{path: r.csv, k: {file_name: 'k([0-9]+)'}}]"),
         "line 3: results[0].k.file_name: 'k([0-9]+)' has no group named 'k'; mark the part to "
         "take, such as (?P<k>"),
        (("name: tiny", "name: tiny\nresults: [{path: r.csv, model: {file_name: '('}}]"),
         "line 3: results[0].model.file_name: '(' is not a regular expression"),
        (("name: tiny", "name: tiny\nresults: [{path: r.csv, columns: {skore: s}}]"), "line 3: "
         "results[0].columns.skore: unknown column of ours (did you mean 'score'?)"),
        (("name: tiny", "name: tiny\nresults: [{path: r.csv, columns: {k: s}}]"), "line 3: "
         "results[0].columns.k: name this column in 'k: {column: …}' instead"),
        (("name: tiny", "name: tiny\nlatency: [{path: r.csv, phase: {column: p, value: v, map: "
          "{x: prefil_ms}}}]"), "line 3: latency[0].phase.map.x: must be 'vision_ms'"),
    ],
)  # fmt: skip
def test_refused_with_line_and_remedy(
    tmp_path: Path, change: tuple[str, str], expected: str
) -> None:
    assert change[0] in TEXT
    assert expected in fails(tmp_path, TEXT.replace(*change))


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        ("{scheme: quantile, edges: [1]}", "edges: does not go with scheme: quantile"),
        ("{scheme: edges}", "scheme: edges needs 'edges'"),
        ("{edges: [2, 1]}", "edges: must be one or more cut points, each above the one before"),
        ("{n: 1}", "n: must be greater than or equal to 2, not the number 1"),
        ("{column: background, order: [a, a]}", "order: names a bucket twice"),
        ("{scheme: kmeans}", "scheme: must be 'quantile', 'edges' or 'column'"),
    ],
)
def test_refused_buckets(tmp_path: Path, buckets: str, expected: str) -> None:
    assert f"M, line 12: analysis.buckets{'.' * (expected[0] != 's' or 'must' in expected)}" in (
        said := fails(tmp_path, TEXT + f"  buckets: {buckets}\n")
    )
    assert expected in said


@pytest.mark.parametrize(
    ("buckets", "scheme"),
    [({}, "quantile"), ({"n": 4}, "quantile"), ({"edges": [1, 2.5]}, "edges"),
     ({"column": "c", "order": ["a", "b"]}, "column")],
)  # fmt: skip
def test_scheme_is_told_by_what_is_given(
    tmp_path: Path, buckets: dict[str, Any], scheme: str
) -> None:
    study = tiny(tmp_path, analysis=MANIFEST["analysis"] | {"buckets": buckets})
    assert study.manifest.analysis.buckets.scheme == scheme
    spelled = tiny(
        tmp_path, analysis=MANIFEST["analysis"] | {"buckets": buckets | {"scheme": scheme}}
    )
    assert spelled.hash == study.hash


def test_five_problems_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    said = fails(tmp_path, TEXT + "".join(f"extra{i}: 1\n" for i in range(8)))
    assert len(re.findall(r"M, line \d+: extra", said)) == 5
    assert said.endswith("and 3 more")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "M: the file is empty"),
        ("# only a comment\n", "M: the file is empty"),
        ("- a\n- b\n", "M, line 1: a manifest is a mapping of 'key: value' lines, this is a list"),
        ("just text\n", "M, line 1: a manifest is a mapping of 'key: value' lines, this is plain"),
        ("version: 1\nname: [a\ntitle: b\n", "M, line 3: not YAML"),
        ("version: 1\ntitle: a: b\n", "M, line 2: not YAML (mapping values are not allowed here): "
         "'title: a: b'; put quotes around a text that contains ': '"),
        ("version: 1\nimages:\n\tsource: a\n", "line 3: not YAML"),
        ("a: &x [*x]\n", "M, line 1: a: unknown key"),
        ("[" * 5000, "M: not YAML (maximum recursion depth"),
        ("name: \x01\n", "M: not YAML (unacceptable character #x0001"),
        (b"name: caf\xe9\n", "M: byte 9 is not UTF-8; save the file as UTF-8"),
        ("a: &x 1\nb: *y\n", "M, line 2: not YAML (found undefined alias 'y')"),
    ],
)  # fmt: skip
def test_not_a_manifest(tmp_path: Path, text: str | bytes, expected: str) -> None:
    assert expected in fails(tmp_path, text)


@settings(deadline=None, max_examples=100)
@given(text=st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_is_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, text: str | bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    fails(folder, text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))


def test_exponents_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text(TEXT + "  margin: 1e-3\n")
    assert load_study(tmp_path).manifest.analysis.margin == 0.001


def test_no_such_manifest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"shaps: no such manifest \(did you mean 'shapes'\?\)"):
        load_study("shaps")
    with pytest.raises(InputError, match="a study that ships: chartqa, clevr, docvqa, easy_vqa"):
        load_study(tmp_path / "absent.yaml")
    with pytest.raises(InputError, match=r"this folder has no manifest\.yaml"):
        load_study(tmp_path)


def test_hash_ignores_spelling_but_not_meaning(tmp_path: Path) -> None:
    def hashed(text: str) -> str:
        (tmp_path / "manifest.yaml").write_text(text)
        return load_study(tmp_path).hash

    first = hashed(TEXT)
    assert hashed("# a comment\n" + TEXT) == first
    assert hashed(TEXT + "seed: 0\n") == first  # the default, spelled out
    assert hashed(TEXT + "seed: 1\n") != first
    assert hashed(TEXT.replace("{metric: edge_density}", "{metric: object_count}")) != first


def test_unset_variable_names_itself_when_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPTIK_TEST_DATA", raising=False)
    study = tiny(tmp_path, data_root="${OPTIK_TEST_DATA}/inner")  # loads all the same
    with pytest.raises(InputError, match=r"line \d+: data_root: the environment variable "
                       r"OPTIK_TEST_DATA is not set; set it to"):  # fmt: skip
        _ = study.root
    monkeypatch.setenv("OPTIK_TEST_DATA", str(tmp_path / "absent"))
    with pytest.raises(InputError, match=r"no folder .*; set OPTIK_TEST_DATA to the folder"):
        _ = study.root
    (tmp_path / "absent" / "inner").mkdir(parents=True)
    assert study.root == (tmp_path / "absent" / "inner").resolve()


def test_package_root(tmp_path: Path) -> None:
    study = tiny(tmp_path, data_root={"package": "not_a_package_of_anyone"})
    with pytest.raises(InputError, match="is not installed; pip install not-a-package-of-anyone"):
        _ = study.root
    assert (load_study("easy_vqa").root / "data" / "test" / "questions.json").is_file()


def test_missing_files_name_line_path_and_neighbour(tmp_path: Path) -> None:
    study = tiny(tmp_path, samples={"path": "sampels.csv"})
    with pytest.raises(InputError) as caught:
        study.file(study.manifest.samples.path, "samples", "path")
    assert re.search(
        r"manifest\.yaml, line \d+: samples\.path: no file .*sampels\.csv "
        r"\(did you mean 'samples\.csv'\?\); correct the path",
        str(caught.value),
    )
    with pytest.raises(InputError, match=r"results\[0\]\.path: no file matches '.*r_\*\.csv'"):
        study.files("r_*.csv", "results", 0, "path")
    with pytest.raises(InputError, match="is a folder; name a file in it"):
        study.file(".", "samples", "path")
    with pytest.raises(InputError, match="nor the folder it should lie in"):
        study.file("there/is/none.csv", "samples", "path")


def test_data_files_say_what_exists(tmp_path: Path) -> None:
    study = tiny(
        tmp_path,
        {"runs/k1.csv": "", "runs/k2.csv": "", "runs/.hidden.csv": ""},
        images={"source": "images/**/*.png"},
        results=[{"path": "runs/*.csv"}, {"path": "none_*.csv"}],
        latency=None,
    )
    listed = [(f.key, f.path.name, f.exists) for f in study.data_files()]
    assert listed == [
        ("images.source", "images", False),
        ("samples.path", "samples.csv", True),
        ("results[0].path", "k1.csv", True),
        ("results[0].path", "k2.csv", True),
        ("results[1].path", "none_*.csv", False),
    ]
    (tmp_path / "images" / "a").mkdir(parents=True)
    (tmp_path / "images" / "a" / "b.png").write_bytes(b"")
    assert study.data_files()[0].exists


def test_checksums(tmp_path: Path) -> None:
    good, bad = sha256_bytes(b"x"), "0" * 64
    study = tiny(tmp_path, {"x.bin": b"x"}, images={"source": "images", "sha256": {"x.bin": good}})
    assert verify_checksums(study) == [study.root / "x.bin"]
    study = tiny(tmp_path, images={"source": "images", "sha256": {"x.bin": bad, "y.bin": good}})
    with pytest.raises(InputError) as caught:
        verify_checksums(study)
    first, second = str(caught.value).splitlines()
    assert f"x.bin has SHA-256 {good}, the manifest says {bad}; fetch the file again" in first
    assert re.search(r"line \d+: images\.sha256\.x\.bin", first)
    assert "images.sha256.y.bin: no file" in second


def test_schema_accepts_what_ships(root: Path) -> None:
    """The JSON Schema names every key that the shipped manifests use."""
    schema = json.loads((root / "data_manifests" / "manifest.schema.json").read_text("utf-8"))
    for path in shipped().values():
        assert set(yaml.safe_load(path.read_text("utf-8"))) <= set(schema["properties"])


def test_a_folder_in_the_manifest_s_place(tmp_path: Path) -> None:
    inside = tmp_path / "manifest.yaml"
    inside.mkdir()
    for path in (tmp_path, inside):
        with pytest.raises(InputError, match=r"manifest\.yaml there is a folder; it must be"):
            load_study(path)
