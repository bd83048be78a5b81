"""Landlock (Linux 5.13 and later): a process gives up files and TCP for good; by system calls,
because neither Python nor glibc has them.

What a kernel does not have is left out. Version 1 has files, 3 their truncation, 4 TCP, 6 abstract
UNIX sockets and signals.
"""

import ctypes
import os
import stat
import struct
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all architectures
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_REGULAR, _TRUNCATE = 1 << 5, 1 << 8, 1 << 14
_FILE_RIGHTS = ((1, (1 << 13) - 1), (2, 1 << 13), (3, _TRUNCATE), (5, 1 << 15))
"""Which version of Landlock brought them."""
_OF_THE_FOLDER = _WRITE_FILE | _READ_FILE | _READ_DIR | _REMOVE_FILE | _MAKE_REGULAR | _TRUNCATE
"""No links, devices, sockets or folders, and nothing is executed."""
_ETC = (
    *("resolv.conf", "hosts", "host.conf", "nsswitch.conf", "gai.conf", "services"),
    *("ld.so.cache", "localtime", "crypto-policies", "ca-certificates"),
    *("ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf"),
    *("pki/ca-trust", "pki/tls/certs", "pki/tls/cert.pem", "pki/tls/openssl.cnf"),
)
"""Not the folders that they are in: the server's settings and keys may be there too."""
_OF_THE_NETWORK = tuple(
    Path(one)
    for one in (
        *("/usr", "/lib", "/lib64", *(f"/etc/{one}" for one in _ETC)),
        *("/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager/resolv.conf"),
    )
)
"""Names, certificates, and the libraries that are loaded for them."""
_TCP = 3
_ABSTRACT_SOCKETS_AND_SIGNALS = 3
_NO_NEW_PRIVS = 38

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


def _call(number: int, *arguments: object) -> int:
    result: int = _LIBC.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        failed = ctypes.get_errno()
        raise OSError(failed, os.strerror(failed))
    return result


def version() -> int:
    """That of the kernel's Landlock; 0 where there is none."""
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION_FLAG))
    except OSError:
        return 0


def give_up_new_privileges() -> None:
    """Nothing that is executed has more rights than this process. Errors: `OSError`."""
    if _LIBC.prctl(_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))) != 0:
        failed = ctypes.get_errno()
        raise OSError(failed, os.strerror(failed))


def restrict_to(folder: Path | None, *, network: bool = False) -> int:
    """From now on this process reads and writes files in this folder alone, or none without it, and
    connects to no TCP port. Descriptors that are open stay. With `network` it connects, and reads
    what resolving names and checking certificates takes. The version that holds; 0 where there is
    none.

    Errors: `OSError`; then nothing holds."""
    found = version()
    if not found:
        return 0
    files = sum(rights for since, rights in _FILE_RIGHTS if found >= since)
    handled = struct.pack("Q", files)
    handled += struct.pack("Q", 0 if network else _TCP) if found >= 4 else b""
    handled += struct.pack("Q", _ABSTRACT_SOCKETS_AND_SIGNALS) if found >= 6 else b""
    ruleset = _call(_CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), ctypes.c_uint(0))
    try:
        if folder is not None:
            _allow(ruleset, folder, _OF_THE_FOLDER & files)
        for one in _OF_THE_NETWORK if network else ():
            if one.exists():
                _allow(ruleset, one, (_READ_FILE | _READ_DIR) & files)
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0))
    finally:
        os.close(ruleset)
    return found


def _allow(ruleset: int, place: Path, rights: int) -> None:
    descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= ~_READ_DIR  # the kernel takes no rights of folders for a file
        rule = struct.pack("=Qi", rights, descriptor)
        _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint(0))
    finally:
        os.close(descriptor)
