//! Parses the command line, calls a verb, prints the error once, returns the exit code.

fn main() -> std::process::ExitCode {
    // SAFETY: called first in the process, before any thread could read the environment.
    unsafe { fedgan::gpu::quiet_drivers() };
    fedgan::cli::main()
}
