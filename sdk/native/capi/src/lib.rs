//! `libsealroute`: the client for programs in C. `include/sealroute.h` is its documentation; the
//! rules at its head are kept by
//!
//! - `handles`: what a program holds is a number with a generation, never an address,
//! - `gate`: a deleted object is called no more,
//! - `dispatcher`: what is called of a session comes from one thread, in order, under no lock,
//! - `border`: a panic ends as an error.

mod audio;
mod border;
mod callbacks;
mod convert;
mod device;
mod dispatcher;
mod encoding;
mod events;
mod exports;
mod frame;
mod gate;
mod handles;
mod log;
mod publisher;
mod receiving;
mod session;
mod settings;
mod stream;
mod subscriber;
