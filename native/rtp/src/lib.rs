//! Wire formats of RTP and RTCP: parse and write, no state, no I/O.
