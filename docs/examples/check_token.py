"""Checks an access token of bookstore-auth offline: signature, issuer, audience, kind, times and status list.

    pip install 'PyJWT[crypto]>=2.10'
    check_token.py JWKS_URL ISSUER TOKEN [AUDIENCE]

prints the user's id, or why the token is refused, with exit code 1. `-` as ISSUER: tokens name no issuer.
In a service, make one `Checker` at the start and call `check` for every request.
"""

import sys
import threading
import time
import urllib.request
import zlib
from urllib.parse import urlsplit

import jwt

ALGORITHMS = {"EdDSA", "ES256", "RS256"}
LONGEST_TOKEN = 16 * 1024
LONGEST_LIST = 8 * 1024 * 1024
LIST_FRESH_AT_MOST = 60  # seconds, whatever its ttl


class Refused(Exception):
    """The token is not good: answer 401."""


class Unavailable(Exception):
    """Keys or status list cannot be had: answer 503."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """What an answer says is not where we agreed to look."""

    def redirect_request(self, *_):
        return None


class Checker:
    def __init__(self, jwks_url, issuer=None, audience=None):
        # Fetched at the first use, and again after five minutes or for a key id that is not known.
        self.keys = jwt.PyJWKClient(jwks_url, lifespan=300, timeout=5)
        self.issuer, self.audience = issuer, audience
        # Status lists come from the service and from nowhere else, whatever a token says.
        origin = urlsplit(jwks_url)
        self.list_prefix = f"{origin.scheme}://{origin.netloc}/status-lists/"
        self.lists, self.lock = {}, threading.Lock()
        self.opener = urllib.request.build_opener(NoRedirect)

    def check(self, token):
        """The claims of a good token."""
        if len(token) > LONGEST_TOKEN:
            raise Refused("too long")
        required = ["exp", "iat", "jti", "token_type", "user_id", "sid"]
        claims = self.verified(token, "JWT", required, self.issuer, self.audience)
        # A refresh token is signed by the same service. It is no access token.
        if claims["token_type"] != "access":
            raise Refused("not an access token")
        if type(claims["user_id"]) is not int:
            raise Refused("no user id")
        # It is of an API key, and good only for what stands in `scope`: a service that wants such tokens looks there.
        if claims.get("client_id", "first-party") != "first-party":
            raise Refused("given for an API key")
        if "status" in claims:
            self.check_status(claims["status"])
        return claims

    def verified(self, token, typ, required, issuer=None, audience=None):
        try:
            header = jwt.get_unverified_header(token)
            if header.get("typ") != typ or not isinstance(header.get("kid"), str):
                raise Refused("another kind of token")
            key = self.keys.get_signing_key_from_jwt(token)
            # The key says which algorithm (RFC 8725 section 3.1), and only public ones are taken.
            if key.algorithm_name not in ALGORITHMS:
                raise Refused("a key of another kind")
            return jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=issuer,
                audience=audience,
                options={"require": required + (["iss"] if issuer else [])},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise Unavailable(str(error)) from error
        except (jwt.PyJWTError, ValueError) as error:
            raise Refused(str(error)) from error

    def check_status(self, status):
        """The token's entry in its status list (draft-ietf-oauth-status-list) must be 0."""
        try:
            uri, index = status["status_list"]["uri"], status["status_list"]["idx"]
        except (KeyError, TypeError) as error:
            raise Refused("no status list") from error
        if type(index) is not int or index < 0 or not self.is_allowed(uri):
            raise Refused("a status list elsewhere")
        bits, entries = self.status_list(uri)
        per_byte = 8 // bits
        if index // per_byte >= len(entries):
            raise Refused("no such entry in the status list")
        # The lowest bits of a byte come first.
        value = entries[index // per_byte] >> (index % per_byte * bits) & ((1 << bits) - 1)
        if value != 0:
            raise Refused("revoked")

    def is_allowed(self, uri):
        if not isinstance(uri, str) or not uri.startswith(self.list_prefix):
            return False
        name = uri[len(self.list_prefix) :]
        return name.isascii() and name.replace("-", "").replace("_", "").isalnum()

    def status_list(self, uri):
        """Bits per entry and entries, fetched when they are older than their ttl."""
        with self.lock:
            fresh_until, found = self.lists.get(uri, (0, None))
            if time.monotonic() >= fresh_until:
                ttl, found = self.fetch_list(uri)
                self.lists[uri] = (time.monotonic() + min(ttl, LIST_FRESH_AT_MOST), found)
            return found

    def fetch_list(self, uri):
        request = urllib.request.Request(uri, headers={"Accept": "application/statuslist+jwt"})
        try:
            with self.opener.open(request, timeout=5) as answer:
                token = answer.read(LONGEST_LIST).decode("ascii")
            claims = self.verified(token, "statuslist+jwt", ["sub", "iat", "exp"])
            packed = claims["status_list"]
            bits, text = packed["bits"], packed["lst"]
            if claims["sub"] != uri or bits not in (1, 2, 4, 8):
                raise Unavailable("another status list")
            unpack = zlib.decompressobj()
            entries = unpack.decompress(jwt.utils.base64url_decode(text), LONGEST_LIST)
            if not unpack.eof:
                raise Unavailable("the status list is too long")
            return int(claims.get("ttl", LIST_FRESH_AT_MOST)), (bits, entries)
        except (OSError, KeyError, TypeError, ValueError, zlib.error, Refused) as error:
            raise Unavailable(f"status list: {error}") from error


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    jwks_url, issuer, token = sys.argv[1:4]
    audience = sys.argv[4] if len(sys.argv) == 5 else None
    checker = Checker(jwks_url, issuer=None if issuer == "-" else issuer, audience=audience)
    try:
        print(checker.check(token)["user_id"])
    except Refused as reason:
        sys.exit(f"refused: {reason}")
    except Unavailable as reason:
        sys.exit(f"cannot tell: {reason}")


if __name__ == "__main__":
    main()
