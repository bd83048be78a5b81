//! Finds the libraries of the system, and compiles what stands between libvpx's macros and Rust.

use std::env;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=src/vp8.c");
    if env::var_os("CARGO_FEATURE_VP8").is_some() {
        let library = found("vpx", "1.12", "libvpx-dev")?;
        cc::Build::new()
            .file("src/vp8.c")
            .includes(library.include_paths)
            .warnings_into_errors(true)
            .try_compile("sealroute_vp8")?;
        // Behind what uses it: the linker looks at libraries in order.
        println!("cargo:rustc-link-lib=vpx");
    }
    if env::var_os("CARGO_FEATURE_OPUS").is_some() {
        found("opus", "1.3", "libopus-dev")?;
    }
    Ok(())
}

fn found(name: &str, least: &str, package: &str) -> Result<pkg_config::Library, Box<dyn Error>> {
    let library = pkg_config::Config::new().atleast_version(least).probe(name);
    library.map_err(|error| format!("{package} is needed: {error}").into())
}
