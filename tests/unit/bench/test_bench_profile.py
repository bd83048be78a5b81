"""What is read out of a profile."""

from bench.profile import parse, table

REPORT = """
# Overhead  Command       Shared Object   Symbol
    60.00%  media-worker  [kernel.vmlinux]  [k] udp_sendmsg            -      -
    20.00%  media-worker  _native.so  [.] aws_lc_0_47_0_aes_gcm_encrypt_avx512  -      -
    10.00%  media-worker  _native.so  [.] <sealroute_worker::Outbox as Outbox>::rtp
     5.00%  media-worker  libc.so.6   [.] __memmove_avx512_unaligned_erms
     5.00%  python  libpython.so  [.] _PyEval_EvalFrameDefault
"""


def test_only_the_forwarding_thread_counts_and_its_symbols_are_sorted_into_parts():
    found = [(line.share, line.kind) for line in parse(REPORT)]
    assert found == [(60.0, "kernel"), (20.0, "crypto"), (10.0, "own"), (5.0, "memory")]


def test_shares_are_of_the_thread_not_of_the_process():
    text = table(parse(REPORT))
    assert "| kernel | 63% |" in text
    assert "| 10.5% | own | `<sealroute_worker::Outbox as Outbox>::rtp` |" in text
