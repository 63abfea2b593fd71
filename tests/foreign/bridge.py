"""Checks tokens as the catalog service does while it moves from the shared secret to public keys (docs/bridge.md).

The first line of standard input is {"jwks_uri", "secret", "keep"}: where the keys are, the old secret, and for how many seconds
the keys are kept. Every further line is a token; each is answered by one line, {"ok", "claims"} or {"ok", "error"}.
"""
import json
import sys

import jwt

settings = json.loads(sys.stdin.readline())
keys = jwt.PyJWKClient(settings["jwks_uri"], lifespan=settings["keep"])
PUBLIC = ["EdDSA", "ES256"]


def verify(token):
    # The header only chooses between two fixed lists; it never brings an algorithm or a key of its own.
    if jwt.get_unverified_header(token).get("alg") in PUBLIC:
        return jwt.decode(token, keys.get_signing_key_from_jwt(token).key, algorithms=PUBLIC)
    return jwt.decode(token, settings["secret"], algorithms=["HS256"])


for line in sys.stdin:
    try:
        answer = {"ok": True, "claims": verify(json.loads(line))}
    except jwt.PyJWTError as fault:
        answer = {"ok": False, "error": f"{type(fault).__name__}: {fault}"}
    print(json.dumps(answer), flush=True)
