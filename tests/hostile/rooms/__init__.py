"""The room at `/`, served whole by a server that lies in the protocol alone.

Its files are those that were built: a page that comes from a server is that server's word
(SECURITY.md), so a row that changed them would show nothing.
"""
