"""Assert what PostStack received, on the wire.

This is imported before everything else, and hides the shell that runs the tests: its proxies,
certificates, settings, locale and time zone, from the tests and from the processes they start. What
the system and the tools need stays, as with tox. Name variables of your own tests `TEST_...`.
"""

import os
import re

KEPT = re.compile(
    r"(CI|COV|DEBUGPY_|DYLD_|LD_|LOCALE_ARCHIVE|NIX_|PYDEVD_|PYTEST_|TEST_)\w*"
    r"|HOME|LOGNAME|PATH|SHELL|TERM|TMPDIR|USER"
    # Of Windows.
    r"|(ALLUSERS|USER)PROFILE|(LOCAL)?APPDATA|COMMONPROGRAM.*|COMSPEC|HOME(DRIVE|PATH)"
    r"|NUMBER_OF_PROCESSORS|PATHEXT|PROCESSOR_\w+|PROGRAM(DATA|FILES.*)|SYSTEM(DRIVE|ROOT)|TE?MP"
    r"|USERNAME|WINDIR"
)

for name in set(os.environ):
    if not KEPT.fullmatch(name):
        del os.environ[name]
# Not the proxy of the system's preferences either, which Python finds on macOS and Windows.
os.environ["no_proxy"] = "*"
# Not the developer's `.env`: a name that only a test's own folder can have.
os.environ["ENV_FILE"] = ".env.of_the_tests"
