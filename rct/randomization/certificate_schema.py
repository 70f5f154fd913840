"""The JSON Schema of a certificate and of a commitment, for programs that read them without rct."""

from typing import Any, Literal

from pydantic import TypeAdapter

from rct.randomization.certificate import Certificate
from rct.randomization.commitment import CommitmentRecord

CERTIFICATE_KEYS = {
    "format": "Version of the bytes; always 1.",
    "mechanism": "How units are drawn: the value of randomization.scheme.",
    "level": "What it claims: reproducible, or pre-committed, which only a third party's copy can show.",
    "proves": "The same in words.",
    "does_not_prove": "What it leaves open, in words.",
    "seed": "The text that keys the draw; everything else follows from it, the design and the ids.",
    "commitment": "Pre-committed only: the commitment as it was shown to the third party.",
    "value": "Pre-committed only: what the public source gave for the round.",
    "design": "What the randomization rests on, as the text of canonical JSON.",
    "design_hash": "SHA-256 of design.",
    "roster_hash": "SHA-256 of the columns of the roster that the randomization reads.",
    "measured_units": "Number of rows of the roster.",
    "blocks": "Each block: its name, its values, and by sequence its counts and exact shares.",
    "units": "Each randomized unit in byte order: its id, the values of its block, its sequence.",
    "restriction": "Restricted schemes only: covariates, candidates, and the one that was taken.",
    "trial": "Name of the trial, hash of its whole file and of each table, to find amendments.",
    "software": "Versions that wrote the certificate: stated, not proved; no allocation depends on them.",
}

COMMITMENT_KEYS = {
    "format": "Version of the bytes; always 1.",
    "design_hash": "SHA-256 of the design, as in the certificate to come.",
    "roster_hash": "SHA-256 of the roster, as in the certificate to come.",
    "mechanism": "How units will be drawn.",
    "beacon": "The public draw: its source and its round.",
    "nonce": "128 random bits, so that the roster cannot be guessed from the commitment.",
    "commitment": "SHA-256 of the canonical JSON of all the other keys.",
}


def json_schema(of: Literal["certificate", "commitment"]) -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of a certificate or a commitment, its keys described."""
    shape: Any = Certificate if of == "certificate" else CommitmentRecord
    schema = TypeAdapter(shape).json_schema()
    for key, place in schema["properties"].items():
        place["description"] = (CERTIFICATE_KEYS if of == "certificate" else COMMITMENT_KEYS)[key]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": f"A {of} of rct"}
