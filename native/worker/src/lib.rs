//! The only I/O and the only clock of the media core.

mod socket;
