//! The network side of one peer, sans-IO: STUN, ICE-lite, SRTP.
