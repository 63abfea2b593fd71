"""A mail server for tests: writes every message that it takes into a folder.

smtp_sink.py FOLDER PORT MODE [CERTIFICATE KEY]
MODE: plain (offers no TLS), starttls (demands it), tls (from the first byte). Where TLS protects the connection it demands the login
`sender` / `canary-smtp-password`.
A message is taken slowly, so that a client can die between its end and our answer.
"""

import asyncio
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Keep:
    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        name = os.path.join(self.folder, f"{os.getpid()}-{self.count}")
        with open(name + ".part", "wb") as file:
            file.write(b"X-Recipient: " + ",".join(envelope.rcpt_tos).encode() + b"\r\n" + envelope.content)
        os.rename(name + ".part", name + ".eml")
        await asyncio.sleep(0.02)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=data.login == b"sender" and data.password == b"canary-smtp-password")


async def main(folder, port, mode, *files):
    context = None
    if files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
    keep = Keep(folder)
    options = {"hostname": "localhost", "enable_SMTPUTF8": True}
    if mode != "plain":
        options |= {"authenticator": authenticate, "auth_required": True}
    if mode == "starttls":
        options |= {"tls_context": context, "require_starttls": True}
    if mode == "tls":
        options |= {"auth_require_tls": False}
    wrap = context if mode == "tls" else None
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(keep, **options), "127.0.0.1", int(port), ssl=wrap)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
