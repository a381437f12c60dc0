//! The binary: installs the one TLS provider, reads the command line, runs the verb, and leaves with its
//! code.
#![forbid(unsafe_code)]

use pointsman::cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Fails only when a provider is already installed, which is then the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = match cli::Cli::from_command_line() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("error[PM0001]: cannot start: {e}\n  state: nothing was done");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli::main(cli));
    // A prompt that nobody answers still holds its thread; it must not hold the exit.
    runtime.shutdown_background();
    code
}
