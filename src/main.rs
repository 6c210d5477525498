//! The binary: see `vivremotion --help`.

use std::process::ExitCode;

use clap::Parser;
use vivremotion::cli::{Cli, Failure};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The command line is wrong.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; there is nobody left to tell when they can't be printed.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    match cli.verb.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Checked | Failure::Closed) {
                complain(&failure);
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last words of the process")]
fn complain(failure: &Failure) {
    eprintln!("error: {failure}");
}
