"""The media plane as the control plane sees it: sessions, SDP, DTLS, and the core below."""
