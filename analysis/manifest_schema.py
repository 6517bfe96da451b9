"""The manifest as JSON Schema, for editors and other tools."""

from __future__ import annotations

from typing import Any

from analysis.manifest_latency import APART, LatencyManifest
from analysis.manifest_model import About, Manifest


def json_schema() -> dict[str, Any]:
    """Return the manifest's JSON Schema: of whole studies and of studies of latency alone.

    Returns
    -------
    dict
        What is published as ``data_manifests/manifest.schema.json``. A manifest with `latency`
        and without images, samples and results is a study of latency alone
        (`analysis.manifest_latency`); it has keys of its own and lacks others.
    """
    schema = Manifest.model_json_schema(by_alias=True)
    alone = LatencyManifest.model_json_schema(by_alias=True)
    own = [name for name in alone["properties"] if name not in schema["properties"]]
    common = [name for name in schema["required"] if name in About.model_fields]
    rest = [name for name in schema["required"] if name not in common]
    schema["$defs"] |= alone["$defs"]
    schema["properties"] |= {name: alone["properties"][name] for name in own}
    schema["required"] = common
    schema["if"] = {"anyOf": [{"required": [name]} for name in APART]}
    schema["then"] = {"required": rest, "properties": dict.fromkeys(own, False)}
    without = [name for name in schema["properties"] if name not in alone["properties"]]
    schema["else"] = {
        "required": ["latency"],
        "properties": {"latency": {"minItems": 1}} | dict.fromkeys(without, False),
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
