//! The command line: one file per verb, which parses arguments and prints. Verbs do not import each other; shared code is in
//! private modules beside them.

pub mod bench;
pub mod completions;
mod console;
pub mod demo;
pub mod devices;
mod environment;
pub mod eval;
mod interrupt;
pub mod kernels;
pub mod keys;
pub mod man;
mod parse;
mod ranks;
pub mod report;
pub mod run;
pub mod sample;
mod shader_file;
pub mod sweep;
pub mod tune;
mod units;
pub mod validate;

use crate::{Error, Result};
use clap::{CommandFactory, Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

/// Federated GANs under backdoor attack, trained with hand-written WGSL kernels on any GPU, or without one.
#[derive(Debug, Parser)]
#[command(name = "fedgan", version, about, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Train a federation; writes a run directory with pictures, metrics and networks.
    Run(run::RunArgs),
    /// Train the paper's story in three short runs - honest, attacked, defended - and tell it on one HTML page.
    Demo(demo::DemoArgs),
    /// Train a grid of experiments over keys and seeds; finished cells are not repeated.
    Sweep(sweep::SweepArgs),
    /// Compute the metrics of a finished run, or of a folder of generated images against a folder of real ones.
    Eval(eval::EvalArgs),
    /// Write one HTML page from run and sweep directories: tables with intervals over seeds, pictures, curves.
    Report(report::ReportArgs),
    /// List the adapters that can run the kernels: type, driver, limits, shader variants.
    Devices(devices::DevicesArgs),
    /// Generate images from an exported generator.
    Sample(sample::SampleArgs),
    /// Print the keys of an experiment file with their defaults and ranges, as a Markdown table.
    Keys(keys::KeysArgs),
    /// Print the kernel catalogue as a table or as Markdown, or an assembled shader.
    Kernels(kernels::KernelsArgs),
    /// Check kernels, golden cases and edited shaders on a device against the reference.
    Validate(validate::ValidateArgs),
    /// Time kernels, training steps and rounds relative to the device's ceilings; compare with saved baselines.
    Bench(bench::BenchArgs),
    /// Measure the fastest variants of the convolutions on a GPU, and save them for later runs on it.
    Tune(tune::TuneArgs),
    /// Print a script with which a shell completes verbs and options.
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write one page per verb.
    Man(man::ManArgs),
}

/// The parser of the command line: all verbs with their options and help texts.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the command line, runs the verb and turns its result into an exit code: 0 done, 1 failed, 2 bad input.
pub fn main() -> ExitCode {
    // A child of this program that compiles for `--isa`: not a verb, because nobody else calls it.
    if std::env::args_os().nth(1).is_some_and(|first| first == crate::isa::WORKER) {
        crate::isa::serve();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with code 0, usage errors to stderr with code 2; a closed pipe is not an error.
            // Of equal command lines, rank 0 says what is wrong.
            let training = std::env::args_os().nth(1).is_some_and(|verb| verb == "run");
            if !(training && crate::mpi::is_worker()) {
                let _ = error.print();
            }
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let answer = answer(cli.verb);
    match answer {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            tell(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn answer(mut verb: Verb) -> Result<u8> {
    // A sweep reads the environment itself, because its axes take precedence; so does a run, on each of its ranks.
    let (device, set): (_, &[String]) = match &mut verb {
        Verb::Eval(args) if args.run.is_some() => (Some(&mut args.device), &[]),
        Verb::Sample(args) => (Some(&mut args.device), &[]),
        Verb::Demo(args) => (Some(&mut args.device), &args.set),
        Verb::Validate(args) if args.compare.is_empty() => (Some(&mut args.device), &args.set),
        Verb::Bench(args) => (Some(&mut args.device), &[]),
        Verb::Tune(args) => (Some(&mut args.device), &args.set),
        _ => (None, &[]),
    };
    if let Some(device) = device {
        *device = environment::asked(device.take(), set)?;
    }
    match verb {
        Verb::Run(args) => run::run(args),
        Verb::Demo(args) => demo::run(args),
        Verb::Sweep(args) => sweep::run(args),
        Verb::Eval(args) => eval::run(args).map(|()| 0),
        Verb::Report(args) => report::run(args),
        Verb::Devices(args) => devices::run(args.json).map(|()| 0),
        Verb::Sample(args) => sample::run(args).map(|()| 0),
        Verb::Keys(args) => keys::run(args).map(|()| 0),
        Verb::Kernels(args) => kernels::run(args).map(|()| 0),
        Verb::Validate(args) => validate::run(args),
        Verb::Bench(args) => bench::run(args),
        Verb::Tune(args) => tune::run(args),
        Verb::Completions(args) => completions::run(args).map(|()| 0),
        Verb::Man(args) => man::run(args).map(|()| 0),
    }
}

/// Writes a line to standard error for the user. A closed standard error is not an error. Quoted file contents and names must
/// not reach the terminal as control sequences.
pub fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", printable(text));
}

/// `text` with its control characters replaced, except for newlines and tabs.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// Writes `bytes` to standard output. A closed pipe (`fedgan ... | head`) is not an error.
///
/// # Errors
/// If standard output cannot be written for another reason.
pub fn print(bytes: impl AsRef<[u8]>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::Output(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn messages_do_not_command_the_terminal() {
        assert_eq!(printable("a\tb\nc\u{e9}"), "a\tb\nc\u{e9}");
        assert_eq!(printable("x\u{1b}[2J\u{9b}\r\u{7}"), "x\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}");
    }
}
