"""Becomes a program under a seccomp profile as engines read it: under_seccomp.py PROFILE PROGRAM…

Run as root, with nothing but the standard library and libseccomp.
"""

import ctypes
import json
import os
import sys
from pathlib import Path

_ALLOW = 0x7FFF_0000
_ERRNO = 0x0005_0000


def main(profile: str, program: list[str]) -> None:
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    wanted = json.loads(Path(profile).read_text())
    assert wanted["defaultAction"] == "SCMP_ACT_ALLOW"
    filters = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    # A user that may not do it would need "no new privileges" first; root would lose nothing by it.
    library.seccomp_attr_set(filters, 3, ctypes.c_uint32(0))
    for rule in wanted["syscalls"]:
        assert rule["action"] == "SCMP_ACT_ERRNO"
        for name in rule["names"]:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number >= 0:  # others belong to other machines
                action = ctypes.c_uint32(_ERRNO | rule["errnoRet"])
                added = library.seccomp_rule_add(filters, action, number, 0)
                assert added == 0, (name, added)
    assert library.seccomp_load(filters) == 0
    os.execvp(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
