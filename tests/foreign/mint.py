"""Mints tokens as the replaced Django service did (SimpleJWT), and forged ones (PyJWT and by hand).

Reads {"secret": text, "orders": [order, ...]} from standard input; writes a list of tokens. An order:
  {"by": "simplejwt", "type": "access" | "refresh", "user_id": 1, "lifetime": seconds}
  {"by": "pyjwt", "claims": {..}, "header": {..}, "algorithm": "HS256", "key": text}    claims and key default to good ones
  {"by": "hand", "header": {..}, "claims": {..}, "signature": text}                     signature as given, "" for none
"""
import base64
import json
import sys
import time
import uuid
from datetime import timedelta

import django
import jwt
from django.conf import settings

request = json.load(sys.stdin)
secret = request["secret"]
settings.configure(
    SECRET_KEY=secret,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    USE_TZ=True,
    SIMPLE_JWT={"SIGNING_KEY": secret, "ALGORITHM": "HS256", "ACCESS_TOKEN_LIFETIME": timedelta(days=7)},
)
django.setup()
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken  # noqa: E402  (needs the settings)


class User:
    """All that `for_user` looks at."""

    def __init__(self, user_id):
        self.id = user_id
        self.is_active = True


def by_simplejwt(order):
    kind = {"access": AccessToken, "refresh": RefreshToken}[order["type"]]
    token = kind.for_user(User(order["user_id"]))
    if "lifetime" in order:
        token.set_exp(lifetime=timedelta(seconds=order["lifetime"]))
    return str(token)


def complete(claims):
    now = int(time.time())
    good = {"token_type": "access", "exp": now + 600, "iat": now, "jti": uuid.uuid4().hex}
    merged = {**good, **claims}
    return {name: value for name, value in merged.items() if value != "<absent>"}


def by_pyjwt(order):
    return jwt.encode(complete(order.get("claims", {})), order.get("key", secret), algorithm=order.get("algorithm", "HS256"),
                      headers=order.get("header"))


def by_hand(order):
    def segment(value):
        return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).rstrip(b"=").decode()

    return ".".join([segment(order["header"]), segment(complete(order["claims"])), order["signature"]])


makers = {"simplejwt": by_simplejwt, "pyjwt": by_pyjwt, "hand": by_hand}
json.dump([makers[order["by"]](order) for order in request["orders"]], sys.stdout)
