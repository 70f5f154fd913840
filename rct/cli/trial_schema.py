"""The JSON Schema of the trial file, with the names of the estimators that this version has."""

from typing import Any


def trial_schema() -> dict[str, Any]:
    """Assemble the schema: the tables know their keys, the registry knows the estimators."""
    from rct.analysis import ESTIMATORS
    from rct.trial import Trial

    schema = Trial.model_json_schema()
    title = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A trial file of rct",
        "description": "One TOML file that declares a randomized controlled trial before any data.",
    }
    names = sorted(ESTIMATORS)
    definitions: dict[str, Any] = schema["$defs"]
    definitions["AnalysisSpec"]["properties"]["estimator"] = {
        "title": "Estimator",
        "description": "An estimator of the public API; its options stand beside it",
        "enum": names,
    }
    for name, place in definitions["Analysis"]["properties"].items():
        if name in ("primary", "secondary"):
            _name_estimators(place, names)
    return {**schema, **title}


def _name_estimators(place: dict[str, Any], names: list[str]) -> None:
    """Let a plain text, which stands for an estimator without options, be a known name only."""
    options = place.get("items", place).get("anyOf", [])
    for option in options:
        if option.get("type") == "string":
            option["enum"] = names
