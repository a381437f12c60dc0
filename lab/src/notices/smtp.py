# A real SMTP server that lets in only who has signed in, over TLS: aiosmtpd, whose own command line cannot be told to.
# smtp.py HOST PORT CERT KEY FOLDER USER PASSWORD_FILE
import asyncio
import ssl
import sys

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

host, port, cert, key, folder, user, password_file = sys.argv[1:]
password = open(password_file, "rb").read().strip()
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(cert, key)


def check(server, session, envelope, mechanism, given):
    right = isinstance(given, LoginPassword) and (given.login, given.password) == (user.encode(), password)
    return AuthResult(success=right, handled=False)


async def main():
    loop = asyncio.get_running_loop()
    box = Mailbox(folder)

    def one():
        return SMTP(
            box, loop=loop, tls_context=tls, require_starttls=True, enable_SMTPUTF8=True,
            authenticator=check, auth_required=True, auth_require_tls=True,
        )

    server = await loop.create_server(one, host, int(port))
    await server.serve_forever()


asyncio.run(main())
