"""What a program in C can do wrong, without a server: refused, and the program goes on."""

import re
import subprocess

from tests.native_sdk.c_programs import BUILT, CAPI, environment, program

HEADER = (CAPI / "include" / "sealroute.h").read_text(encoding="utf-8")
DECLARED = re.compile(r"\b(otc_\w+)\(")


def test_null_stale_handles_and_texts_that_are_none_are_refused() -> None:
    done = subprocess.run(
        [str(program("rules"))], capture_output=True, timeout=120, env=environment(), check=False
    )
    assert (done.stdout.decode(), done.returncode) == ("", 0), done.stderr.decode()


def test_the_library_has_every_function_of_its_header_and_no_other() -> None:
    command = ["nm", "--dynamic", "--defined-only", str(BUILT / "libsealroute.so")]
    symbols = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout.decode()
    exported = {line.split()[-1] for line in symbols.splitlines() if " T otc_" in line}
    assert exported == set(DECLARED.findall(HEADER))
