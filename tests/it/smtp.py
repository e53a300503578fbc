"""A mail server for the tests: prints its port, then each mail as a line of JSON.

Arguments: plain, login or starttls; for starttls the files of a certificate and its key.
Ends with its standard input.
"""
import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Print:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        line = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": mail["Subject"],
            "submitted": mail["Auto-Submitted"],
            "text": mail.get_content().replace("\r\n", "\n"),
            "login": bool(session.authenticated),
            "tls": session.ssl is not None,
        }
        print(json.dumps(line), flush=True)
        return "250 kept"


def authenticate(server, session, envelope, mechanism, data):
    known = LoginPassword(b"keepfs", b"open sesame")
    return AuthResult(success=data == known, handled=False)


async def main(kind, *files):
    options = {}
    if kind != "plain":
        options = {"authenticator": authenticate, "auth_required": True}
        options["auth_require_tls"] = kind == "starttls"
    if kind == "starttls":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*files)
        options.update(tls_context=context, require_starttls=True)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Print(), **options), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main(*sys.argv[1:]))
