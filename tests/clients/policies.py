"""AWS policies before parliament, which must find nothing: policies.py FILE…"""

import json
import sys
from pathlib import Path

from parliament import analyze_policy_string

KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def document_of(text):
    """A statement for a key's policy, where '*' is that key, is looked at in one of its own."""
    parsed = json.loads(text)
    if "Statement" in parsed:
        return parsed
    assert parsed["Resource"] == "*"
    return {"Version": "2012-10-17", "Statement": [parsed | {"Resource": KEY}]}


def findings(path):
    document = document_of(path.read_text())
    analyzed = analyze_policy_string(json.dumps(document))
    return [str(found) for found in analyzed.findings]


def broken():
    """What it must find, or its silence proves nothing."""
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObjekt", "Resource": "arn:aws:s3:::b"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return analyze_policy_string(json.dumps(document)).findings


assert broken(), "parliament finds no fault with an action that isn't there"
failed = False
for name in sys.argv[1:]:
    for found in findings(Path(name)):
        print(f"{name}: {found}", file=sys.stderr)
        failed = True
sys.exit(failed)
