"""SIP calls (RFC 3261): the user agent of one outgoing call, and its audio. `process.py` is the
shell; all else is pure, but for codecs."""
