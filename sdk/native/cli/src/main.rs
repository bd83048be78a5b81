//! `sealroute-native`: publishes encoded files to a session, or records what others publish. JSON
//! lines out, JSON lines in, as `sealroute-client` has them.

#![forbid(unsafe_code)]

mod arguments;
mod files;
mod ivf;
mod ogg;
mod output;
mod recording;
mod run;

use std::process::ExitCode;

use arguments::Arguments;

fn main() -> ExitCode {
    let parsed = Arguments::parse(std::env::args().skip(1), |name| std::env::var(name).ok());
    match parsed {
        Ok(arguments) => ExitCode::from(run::run(arguments)),
        Err(text) => {
            output::error("invalid_parameter", 1011, &text);
            ExitCode::from(run::EXIT_USAGE)
        }
    }
}
