//! An exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    windrose::app::main()
}
