//! Prints the interface between Python and the media core as JSON (`make docs`).

use std::io::{self, Write};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &sealroute_worker::api::schema())?;
    out.write_all(b"\n")
}
