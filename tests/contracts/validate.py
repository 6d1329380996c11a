"""Runs the foreign validators over the documents in a directory, each validator once.

    python validate.py DIR TOOLS

openapi*.json and asyncapi*.json are documents; every other *.json is a JSON Schema. Each finding is
a line: the validator, the file, what is wrong, separated by tabs. Exits with 0 if they all ran.
"""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, UnknownType
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing.exceptions import Unresolvable

FORMATS = Draft202012Validator.FORMAT_CHECKER


def redocly(files, tools):
    command = [tools / "node/node_modules/.bin/redocly", "lint", "--extends=recommended-strict", "--format=checkstyle"]
    run = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    # It prints one XML document after another.
    reports = ElementTree.fromstring("<all>" + run.stdout.replace('<?xml version="1.0" encoding="UTF-8"?>', "") + "</all>")
    for file in reports.iter("file"):
        for error in file.iter("error"):
            yield Path(file.get("name")).name, f"{error.get('source')}: {error.get('message')}"
    # It exits with 1 for findings too, but never without a report.
    if run.returncode and not reports.findall(".//error"):
        sys.exit(f"redocly failed: {run.stderr}")


def openapi_spec_validator(files, _tools):
    for file in files:
        try:
            for error in OpenAPIV31SpecValidator(json.loads(file.read_text())).iter_errors():
                yield file.name, error.message
        except (Unresolvable, UnknownType) as error:
            # It gives up at these.
            yield file.name, f"{type(error).__name__}: {error}"[:200]


def asyncapi_parser(files, tools):
    script = (Path(__file__).parent / "asyncapi.mjs").read_text()
    command = ["node", "--input-type=module", "-", *files]
    run = subprocess.run(command, input=script, capture_output=True, text=True, check=True, cwd=tools / "node")
    for line in run.stdout.splitlines():
        file, finding = line.split("\t", 1)
        yield Path(file).name, finding


def jsonschema(files, _tools):
    for file in files:
        try:
            Draft202012Validator.check_schema(json.loads(file.read_text()), format_checker=FORMATS)
        except SchemaError as error:
            yield file.name, error.message


def examples(files, _tools):
    """Every message's example against the schemas of its headers and its payload."""
    for file in files:
        document = json.loads(file.read_text())
        for name, message in document["components"]["messages"].items():
            for example in message["examples"]:
                yield from of_example(file, document, name, message, example)


def of_example(file, document, name, message, example):
    for part, schema in (("headers", message["headers"]), ("payload", message["payload"]["schema"])):
        whole = {**schema, "components": document["components"]}
        for error in Draft202012Validator(whole, format_checker=FORMATS).iter_errors(example[part]):
            yield file.name, f"{name}: {part}: {error.message}"


def main(directory, tools):
    files = sorted(path.resolve() for path in Path(directory).glob("*.json"))
    openapi = [file for file in files if file.name.startswith("openapi")]
    asyncapi = [file for file in files if file.name.startswith("asyncapi")]
    schemas = [file for file in files if file not in openapi + asyncapi]
    runs = [
        (redocly, openapi),
        (openapi_spec_validator, openapi),
        (asyncapi_parser, asyncapi),
        (examples, asyncapi),
        (jsonschema, schemas),
    ]
    for validator, chosen in runs:
        for file, finding in validator(chosen, Path(tools)):
            print(validator.__name__, file, " ".join(finding.split()), sep="\t")


main(*sys.argv[1:])
