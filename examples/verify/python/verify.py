"""Checks a Kycvs-Assertion with PyJWT (pip install "pyjwt[crypto]"; 2.6 or later)."""

import base64
import json

import jwt

# The key says what it is for, not the assertion.
ALGORITHMS = {"EC": "ES256", "OKP": "EdDSA", "RSA": "RS256"}


def verify(assertion, key_for, issuer, audience, leeway=5):
    """Return the claims, or raise an exception.

    key_for takes a kid and returns a jwt.PyJWK, e.g.
    jwt.PyJWKClient("https://mall.example/.kycvs/jwks.json").get_signing_key;
    make it once. issuer is "https://mall.example", audience e.g. "mall".
    """
    header, _ = _open(assertion)
    kid = header.get("kid")
    if header.get("typ") != "kycvs+jwt" or type(kid) is not str or NEVER & header.keys():
        raise ValueError("not an assertion")
    key = key_for(kid)
    claims = jwt.decode(
        assertion, key.key, algorithms=[ALGORITHMS[key.key_type]],
        issuer=issuer, audience=audience, leeway=leeway,
    )
    return _checked(claims)


# What PyJWT leaves to you. Members that let an assertion choose its key, or how
# it is read:
NEVER = {"crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256"}


def _open(assertion):
    """Return header and payload, each in its one spelling and with each name once."""
    if len(assertion) > 1024:
        raise ValueError("too long")
    parts = assertion.split(".")
    if len(parts) != 3:
        raise ValueError("not three parts")
    opened = []
    for part in parts:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != part:
            raise ValueError("not base64url")
        opened.append(raw)
    return [json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no) for raw in opened[:2]]


def _once(pairs):
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _no(word):
    raise ValueError(f"{word} is not JSON")


def _checked(c):
    """Return c if each claim is of its type and the times make sense."""
    text = lambda v: type(v) is str and v != ""  # noqa: E731
    time = lambda v: type(v) is int and 0 <= v  # noqa: E731
    ok = (
        all(text(c.get(name)) for name in ("iss", "aud", "sub", "jti", "txnId", "consent"))
        and type(c.get("purpose")) is str
        and text(c.get("authority", "none"))
        and all(time(c.get(name)) for name in ("iat", "nbf", "exp", "auth_time"))
        and c["iat"] < c["exp"] <= c["iat"] + 3600
        and c["nbf"] < c["exp"]
        and type(c.get("amr")) is list and c["amr"] and all(type(v) is str for v in c["amr"])
        and type(c.get("vaccination_status")) is int and c["vaccination_status"] in (0, 1, 2)
    )
    if not ok:
        raise ValueError("a claim is missing or of the wrong type")
    return c
