"""What schemathesis cannot know of the service: how to log in, and values that mean something.

Random texts alone would never get past a login, a link in a mail or the id of an account. So every request gets good
credentials of FUZZ_ROLE (none, user, superuser), and half of the well-formed ones get values that exist. Broken ones are left alone.
When a session ends on the way, the next request logs in anew: no run goes blind.

FUZZ_BASE: where the service is. FUZZ_MAILS: the folder of the mail server. FUZZ_KEPT: ids that are left alone. FUZZ_SERVICE and
FUZZ_API_KEY: names and secrets for Basic. FUZZ_COUNTS: the file that gets what was answered: {"operation": {"status": count}}.
"""

import atexit
import base64
import itertools
import json
import os
import re
import urllib.error
import urllib.request
import zlib
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData, UnsupportedMethodResponse

BASE = os.environ["FUZZ_BASE"]
ROLE = os.environ["FUZZ_ROLE"]
PASSWORD = "violet-umbrella-42"
COUNTS = defaultdict(Counter)
# Values from answers, by what they are: the ids of accounts and so on.
SEEN = defaultdict(list)
REMEMBERED = 50
# The superuser, the account with the API key, and the key.
KEPT_IDS = os.environ["FUZZ_KEPT"].split()


def ask(path, body, method="POST", access=None):
    """A request with JSON by the side of the fuzzing; the answer, or None."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {access}"} if access else {})
    request = urllib.request.Request(BASE + path, json.dumps(body).encode(), headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError:
        return None


class Person:
    """An account and the tokens of its login. One that was closed, disabled or deleted on the way is replaced by a new one."""

    def __init__(self, name):
        self.name, self.password, self.tokens, self.count = name, PASSWORD, None, 0

    def login(self):
        """A session, the one of before if that is good."""
        while self.tokens is None:
            self.tokens = ask("/login/", {"username": self.name, "password": self.password})
            if self.tokens is None:
                assert self.name != "root", "the superuser cannot log in any more: the rest of the run would be blind"
                self.count += 1
                self.name, self.password = f"{self.name.split('-')[0]}-{self.count}", PASSWORD
                register(self.name)
        return self.tokens

    def new_login(self):
        self.tokens = None
        return self.login()


def register(name):
    ask("/register/", {"username": name, "email": f"{name}@example.com", "password": PASSWORD})


def claims(access):
    return json.loads(base64.urlsafe_b64decode(access.split(".")[1] + "=="))


# Who the requests are of, and one whose sessions nobody misses.
ME = Person("root" if ROLE == "superuser" else "reader")
BYSTANDER = Person("bystander")


@schemathesis.auth(refresh_interval=None)
class Credentials:
    def get(self, case, context):
        if ROLE == "none":
            return None
        if context.operation.path in ("/introspect/", "/revoke/"):
            return basic(os.environ["FUZZ_SERVICE"])
        if context.operation.path == "/token/":
            return basic(os.environ["FUZZ_API_KEY"])
        if any("bearer" in way for way in context.operation.definition.raw.get("security", [])):
            return f"Bearer {ME.login()['access']}"
        return None

    def set(self, case, data, context):
        case.headers["Authorization"] = data


def basic(pair):
    return "Basic " + base64.b64encode(pair.encode()).decode()


@schemathesis.hook
def before_call(context, case, kwargs):
    if ROLE == "none" or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    name = context.operation.definition.raw["operationId"]
    # The same case gets the same values when it is tried again.
    coin = zlib.crc32(repr((name, case.path_parameters, case.query, case.body)).encode())
    path_values(name, case, coin)
    places(name, case)
    if isinstance(case.body, dict) and coin % 4:
        body_values(name, case.body, coin)


def path_values(name, case, coin):
    values = case.path_parameters or {}
    for parameter, kind in (("id", kind_of_id(name)), ("group", "group")):
        known = SEEN[kind]
        if parameter in values and ROLE == "superuser" and kind in MADE and coin % 4 < 2:
            values[parameter] = make(kind) or values[parameter]
        elif parameter in values and known and coin % 4 < 3:
            values[parameter] = known[coin // 4 % len(known)]
    if name == "endSession" and coin % 2:
        values["id"] = claims(ask("/login/", {"username": ME.name, "password": ME.password})["access"])["sid"]
    if name == "adminEndSession" and coin % 2:
        theirs = claims(BYSTANDER.new_login()["access"])
        values.update(id=theirs["user_id"], session=theirs["sid"])
    # Nobody takes the ground from under the run.
    if str(values.get("id")) in KEPT_IDS:
        values["id"] = "f" * 16 if name.endswith("ApiKey") else 999_999


MADE = {"account": "/admin/api/users/", "group": "/admin/api/groups/"}
NUMBERS = itertools.count(os.getpid() * 1000)


def make(kind):
    """The id of a new account or group: those that were seen may be gone."""
    name = f"made-{next(NUMBERS)}"
    members = {"name": name} if kind == "group" else {"username": name, "email": f"{name}@example.com"}
    made = ask(MADE[kind], members, access=ME.login()["access"])
    return made and made["id"]


def kind_of_id(name):
    if name.endswith("ApiKey"):
        return "api key"
    return "group" if name.endswith(("GetGroup", "DeleteGroup", "Permission")) else "account"


def places(name, case):
    """A place in a list is good for its own list alone; no random text is one."""
    for parameter in ("cursor", "after"):
        if parameter in (case.query or {}):
            known = SEEN[("place", name, json.dumps(filters(case), sort_keys=True))]
            if known:
                case.query[parameter] = known[-1]
            else:
                del case.query[parameter]


def filters(case):
    query = {key: str(value) for key, value in (case.query or {}).items() if key not in ("cursor", "after", "limit")}
    return [query, {key: str(value) for key, value in (case.path_parameters or {}).items()}]


def body_values(name, body, coin):
    if "current_password" in body:
        body["current_password"] = ME.password
        if ME.name == "root" and "new_password" in body:
            # The next run begins with it.
            body["new_password"] = PASSWORD
    if name == "login":
        BYSTANDER.login()
        body.update(username=BYSTANDER.name, password=PASSWORD)
    if name in ("verify", "introspect", "revoke", "logout", "logoutAll", "refresh"):
        pair = BYSTANDER.new_login()
        for field in ("refresh", "access", "token"):
            if field in body:
                body[field] = pair["access" if field == "access" or field == "token" and coin % 3 else "refresh"]
    if name in ("introspect", "revoke", "token"):
        # Those are in the header.
        body.pop("client_id", None)
        body.pop("client_secret", None)
    if name == "token":
        body["grant_type"] = "client_credentials"
        if coin % 8 < 6:
            body.pop("scope", None)
    if name in LINKS and (token := mailed(LINKS[name])):
        body["token"] = token
        if name == "confirmEmail":
            body["password"] = PASSWORD
    if name == "adminCreateApiKey" and SEEN["account"]:
        body["user_id"] = SEEN["account"][coin % len(SEEN["account"])]
        body["expires_at"] = (datetime.now(timezone.utc) + timedelta(days=30)).isoformat()
        body["scope"] = ""


LINKS = {"confirmEmail": "verify-email", "confirmPasswordReset": "reset-password", "keepMe": "keep-account"}
USED = set()


def order_links():
    """Has links of every kind sent; the mails come a moment later."""
    for number in range(os.getpid() * 10, os.getpid() * 10 + 4):
        register(f"verifies-{number}")
        register(f"forgets-{number}")
        ask("/password/reset/", {"username": f"forgets-{number}"})
        register(f"leaves-{number}")
        pair = ask("/login/", {"username": f"leaves-{number}", "password": PASSWORD})
        ask("/me/", {"current_password": PASSWORD}, "DELETE", pair["access"])


def mailed(page):
    """The token of a link to a page that was not used yet, as far as mails have come."""
    for file in sorted(os.listdir(os.environ["FUZZ_MAILS"])):
        if not file.endswith(".eml"):
            continue
        with open(os.path.join(os.environ["FUZZ_MAILS"], file), encoding="utf-8", errors="replace") as mail:
            text = mail.read().replace("=\n", "").replace("=3D", "=")
        found = re.search(page + "#token=([A-Za-z0-9_-]{43})", text)
        if found and found[1] not in USED and re.search("^X-Recipient: (verifies|forgets|leaves)-", text):
            USED.add(found[1])
            return found[1]
    return None


if ROLE != "none":
    order_links()


@schemathesis.hook
def after_call(context, case, response):
    name = context.operation.definition.raw["operationId"]
    declared = case.method.upper() == context.operation.method.upper()
    COUNTS[name if declared else f"{name} by {case.method}"][response.status_code] += 1
    if ROLE == "none":
        return
    sent = response.request.headers.get("Authorization", "")
    ours = ME.tokens and sent == f"Bearer {ME.tokens['access']}"
    if ours and (response.status_code == 401 or 200 <= response.status_code < 300 and name in ENDS):
        if name == "changePassword":
            ME.password = case.body["new_password"]
        ME.tokens = None
    if 200 <= response.status_code < 300:
        remember(name, case, response)


ENDS = ("logout", "logoutAll", "endSession", "changePassword", "closeMe")
LISTS = {"users": "account", "groups": "group", "api_keys": "api key"}
CREATED = {"adminCreateUser": "account", "adminCreateGroup": "group", "adminCreateApiKey": "api key"}


def remember(name, case, response):
    answer = response.json() if "json" in response.headers.get("content-type", [""])[0] else None
    if not isinstance(answer, dict):
        return
    for member, kind in LISTS.items():
        for item in answer.get(member) or []:
            if isinstance(item, dict):
                note(kind, item["id"])
    if name in CREATED:
        note(CREATED[name], answer["id"])
    if answer.get("next"):
        note(("place", name, json.dumps(filters(case), sort_keys=True)), answer["next"])


def note(kind, value):
    known = SEEN[kind]
    if value not in known:
        known.append(value)
        del known[:-REMEMBERED]


# Refusals of well-formed requests that no schema can foresee: what is taken already, what is no secret of ours, and rules of
# Django's that are no regular expressions.
REFUSALS = re.compile("|".join((
    "already exists", "This link is not valid", "Token is invalid", "invalid_scope", "unsupported_grant_type",
    # Texts are trimmed before they are judged, so no pattern describes what may be sent.
    "may not be blank", "Null characters are not allowed", "Surrogate characters are not allowed",
    "ontrol characters", "Enter a valid username", "Enter a valid email address",
    "This password is too", "This account has no address", "Not in the future, or later", "Not a scope",
    "Not a cursor of this list", "Not a place in the list",
    # Of a link for an address: needed where there is no access token.
    re.escape('{"password":["This field is required."]}'),
    # Parameters that exclude each other.
    "Not with name", "Authenticate in one way only", "Send one token only",
)))


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether it is one."""
    if isinstance(failure, RejectedPositiveData):
        return not REFUSALS.search(response.text)
    if isinstance(failure, AcceptedNegativeData) and case.path in ("/register/", "/login/"):
        # As recorded, the routes of the replaced service take a number for the text that it prints as.
        values = case.body.values() if isinstance(case.body, dict) else []
        return not any(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    if isinstance(failure, UnsupportedMethodResponse):
        # It answers any method: what it is asked about is the method of another request.
        return case.path != "/forward-auth"
    return True


@atexit.register
def write_counts():
    with open(os.environ["FUZZ_COUNTS"], "w", encoding="utf-8") as file:
        json.dump(COUNTS, file, indent=1, sort_keys=True)
