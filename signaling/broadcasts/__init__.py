"""Broadcasts of sessions that are not end-to-end encrypted: HLS, and RTMP servers of others."""
