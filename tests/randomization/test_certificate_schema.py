import copy
import json

import pytest

from rct.randomization import commit, randomize
from rct.randomization.certificate_schema import CERTIFICATE_KEYS, COMMITMENT_KEYS, json_schema

KINDS = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def violations(value, schema, root, where="$"):
    """Check the keywords that pydantic writes, and refuse others, so that nothing passes unchecked."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    known = {"type", "properties", "required", "additionalProperties", "items", "enum", "const"}
    assert set(schema) <= known | {"$schema", "$defs", "title", "description"}, schema
    if "type" in schema and (not isinstance(value, KINDS[schema["type"]]) or isinstance(value, bool)):
        yield f"{where} is no {schema['type']}"
    elif value not in schema.get("enum", [value]) or value != schema.get("const", value):
        yield f"{where} is {value}"
    elif isinstance(value, dict):
        yield from inside_object(value, schema, root, where)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from violations(inner, schema["items"], root, f"{where}[{i}]")


def inside_object(value, schema, root, where):
    yield from (f"{where} lacks {key}" for key in schema.get("required", []) if key not in value)
    others = schema.get("additionalProperties", True)
    for key, inner in value.items():
        place = schema.get("properties", {}).get(key, others)
        if place is False:
            yield f"{where} has {key}"
        elif isinstance(place, dict):
            yield from violations(inner, place, root, f"{where}.{key}")


def problems(value, of):
    schema = json_schema(of)
    return list(violations(json.loads(json.dumps(value)), schema, schema))


@pytest.fixture
def roster(officers):
    return officers(12).assign(district=["1", "2"] * 6)


@pytest.fixture
def commitment(declared, roster):
    return commit(declared(block='["district"]'), roster, source="a lottery", round="tomorrow")


@pytest.fixture
def certificate(declared, roster, commitment):
    trial = declared(block='["district"]')
    return randomize(trial, roster, commitment=commitment, value="07 19").certificate


def test_real_certificates_and_commitments_are_as_the_schema_says(declared, roster, certificate, commitment):
    assert problems(randomize(declared(), roster, seed=1).certificate, "certificate") == []
    assert problems(certificate, "certificate") == []
    assert problems(commitment.record, "commitment") == []


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (lambda c: c.pop("seed"), ["$ lacks seed"]),
        (lambda c: c.update(note="x"), ["$ has note"]),
        (lambda c: c.update(format=2), ["$.format is 2"]),
        (lambda c: c.update(level="certain"), ["$.level is certain"]),
        (lambda c: c["units"][3].update(sequence="0"), ["$.units[3].sequence is no integer"]),
        (lambda c: c["commitment"].update(nonce=7), ["$.commitment.nonce is no string"]),
    ],
)
def test_what_is_no_certificate_is_not_as_the_schema_says(certificate, spoil, found):
    spoiled = copy.deepcopy(certificate)
    spoil(spoiled)
    assert problems(spoiled, "certificate") == found


@pytest.mark.parametrize(("of", "keys"), [("certificate", CERTIFICATE_KEYS), ("commitment", COMMITMENT_KEYS)])
def test_every_key_is_described_in_its_order(of, keys):
    assert list(json_schema(of)["properties"]) == list(keys)
