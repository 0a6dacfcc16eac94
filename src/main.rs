//! Parse, call a verb, print the error once, exit code.

fn main() -> std::process::ExitCode {
    fedgan::cli::main()
}
