"""Checks records against the JSON Schemas that their `ce_dataschema` names.

    python records.py SCHEMAS < RECORDS

SCHEMAS is a directory of schemas, RECORDS are JSON lines: {"headers": {...}, "value": {...}}. Prints the
number of records of each schema. Exits with 1 and says why if one does not match.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from jsonschema import Draft202012Validator

schemas = [json.loads(path.read_text()) for path in Path(sys.argv[1]).glob("*.json")]
validators = {
    schema["$id"]: Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER) for schema in schemas
}
counts = Counter()
for line in sys.stdin:
    record = json.loads(line)
    name = record["headers"]["ce_dataschema"]
    for error in validators[name].iter_errors(record["value"]):
        sys.exit(f"{name}: {error.json_path}: {error.message}: {line}")
    counts[name] += 1
print(json.dumps(counts))
