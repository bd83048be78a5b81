//! `sealroute-loadgen`: reads one job on stdin; writes a line per phase and the result on stdout.

use sealroute_loadgen::job::Job;
use sealroute_loadgen::{Error, attack, floor, run};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::process::ExitCode;

/// Far above jobs with thousands of clients.
const LARGEST_JOB_BYTES: u64 = 64 << 20;

fn emit(line: &Value) {
    let mut out = std::io::stdout().lock();
    // If the reader is gone, so is the interest in the result.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn run_job() -> Result<Value, Error> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(LARGEST_JOB_BYTES)
        .read_to_string(&mut text)?;
    let job = serde_json::from_str(&text).map_err(|error| Error::Job(error.to_string()))?;
    let mut announce = |phase: &str| emit(&json!({ "event": phase }));
    let result = match job {
        Job::Load(job) => serde_json::to_value(run::load(job, &mut announce)?),
        Job::Floor(job) => serde_json::to_value(floor::floor(&job)?),
        Job::Attack(job) => serde_json::to_value(attack::attack(&job)?),
    };
    result.map_err(|error| Error::Job(error.to_string()))
}

fn main() -> ExitCode {
    match run_job() {
        Ok(result) => {
            emit(&json!({ "event": "result", "result": result }));
            ExitCode::SUCCESS
        }
        Err(error) => {
            emit(&json!({ "event": "error", "error": error.to_string() }));
            ExitCode::FAILURE
        }
    }
}
