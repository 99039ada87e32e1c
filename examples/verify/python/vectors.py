"""Runs verify.py over the vectors: python3 vectors.py DIRECTORY.

Prints for each what became of it, as one line of JSON.
"""

import datetime
import json
import pathlib
import sys

import jwt
import jwt.api_jwt

from verify import verify

# PyJWT has no parameter for the time: it asks this.
now = 0


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(now, tz)


jwt.api_jwt.datetime = Clock

directory = pathlib.Path(sys.argv[1])
keys = {k["kid"]: jwt.PyJWK(k) for k in json.loads((directory / "jwks.json").read_text("utf-8"))["keys"]}
for v in json.loads((directory / "vectors.json").read_text("utf-8"))["vectors"]:
    now, why = v["now"], ""
    try:
        verify(v["assertion"], keys.__getitem__, v["issuer"], v["audience"], leeway=v["skew"])
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
    print(json.dumps({"name": v["name"], "taken": not why, "why": why}))
