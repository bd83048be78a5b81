//! `sealroute-virtual`: the forwarding core in memory and virtual time, behind pipes.
//!
//! Reads records from standard input: a length (4 bytes, big-endian, of kind and body), a kind and
//! a body. Writes records of the same form. `P` answers with all packets sent before its time and
//! an end record; other records have no answer unless the table says so.
//!
//! | kind | body | answer |
//! |---|---|---|
//! | `S` | JSON: the set-up | |
//! | `R` | an RTP packet of the publisher | |
//! | `C` | handle (8), an RTCP compound of that transport | |
//! | `P` | microseconds (4) that pass | `r` and `c`: handle (8), packet; `e`: the end |
//! | `W` | subscriber (8), JSON of preferred layers | |
//! | `A` | subscriber (8), encoding, spatial and temporal layer (1 each), or nothing: paused | |
//! | `Q` | | `j`: counters as JSON |
//! | `D` | a dependency descriptor; none: forget the structure | `j` |
//! | `L` | a video layers allocation | `j` |

mod parse;
mod session;
mod setup;

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::process::ExitCode;

use crate::session::Session;

const MAX_RECORD_BYTES: usize = 1 << 20;

fn read_record(input: &mut impl Read) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 4];
    match input.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_be_bytes(head) as usize;
    if !(1..=MAX_RECORD_BYTES).contains(&length) {
        return Err(io::Error::other("a record of an impossible length"));
    }
    let mut kind = [0];
    input.read_exact(&mut kind)?;
    let mut body = vec![0; length - 1];
    input.read_exact(&mut body)?;
    Ok(Some((kind[0], body)))
}

fn write_record(output: &mut impl Write, kind: u8, parts: &[&[u8]]) -> io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    output.write_all(&(length as u32 + 1).to_be_bytes())?;
    output.write_all(&[kind])?;
    parts.iter().try_for_each(|part| output.write_all(part))
}

fn serve(input: &mut impl Read, output: &mut impl Write) -> Result<(), String> {
    let mut session = None;
    let failed = |error: io::Error| error.to_string();
    let mut parsers = parse::Parsers::default();
    while let Some((kind, body)) = read_record(input).map_err(failed)? {
        match kind {
            b'S' => session = Some(Session::new(&body)?),
            b'D' | b'L' => {
                let answer = if kind == b'D' {
                    parsers.dependency_descriptor(&body)
                } else {
                    parse::layers_allocation(&body)
                };
                write_record(output, b'j', &[answer.to_string().as_bytes()]).map_err(failed)?;
                output.flush().map_err(failed)?;
            }
            _ => {
                let session = session
                    .as_mut()
                    .ok_or("the first record must be S, the set-up")?;
                session.take(kind, &body, output)?;
            }
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut input = BufReader::with_capacity(1 << 16, io::stdin().lock());
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    match serve(&mut input, &mut output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed, the error cannot be reported.
            let _ = writeln!(io::stderr().lock(), "virtual: {error}");
            ExitCode::FAILURE
        }
    }
}
