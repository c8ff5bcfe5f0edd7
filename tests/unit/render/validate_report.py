#!/usr/bin/env python3
"""Validates JSON reports, one a line on stdin, against a schema: validate_report.py SCHEMA

Exit: 0 all valid, 1 one is not (said on stdout), 77 python3-jsonschema is missing.
"""
import json
import sys

try:
    import jsonschema
except ImportError:
    print("python3-jsonschema is not installed")
    sys.exit(77)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    status = 0
    for number, line in enumerate(sys.stdin, 1):
        for error in validator.iter_errors(json.loads(line)):
            where = "/".join(str(part) for part in error.absolute_path)
            print(f"report {number}: {where}: {error.message[:200]}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
