"""Checks tokens as the catalog service does, with PyJWT.

Reads {"secret": text, "tokens": [text, ...]} from standard input; writes one object per token: {"version", "ok", "claims"}
or {"version", "ok", "error"}.
"""
import json
import sys

import jwt


def check(token, secret):
    try:
        claims = jwt.decode(token, secret, algorithms=["HS256"])
    except jwt.PyJWTError as fault:
        return {"ok": False, "error": type(fault).__name__}
    return {"ok": True, "claims": claims, "user_id": claims["user_id"], "header": jwt.get_unverified_header(token)}


request = json.load(sys.stdin)
answers = [{"version": jwt.__version__, **check(token, request["secret"])} for token in request["tokens"]]
json.dump(answers, sys.stdout)
