//! The media core as the Python extension sfu._native.
