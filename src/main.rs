//! Parse, call a verb, print the error once, exit code.

fn main() -> std::process::ExitCode {
    // SAFETY: first thing in the process, before any thread could read the environment.
    unsafe { fedgan::gpu::quiet_drivers() };
    fedgan::cli::main()
}
