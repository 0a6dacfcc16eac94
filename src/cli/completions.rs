//! `fedgan completions`: scripts with which a shell completes verbs, options and their values.

use crate::Result;
use clap_complete::Shell;

/// Arguments of `fedgan completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell that will read the script.
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// If standard output cannot be written.
pub fn run(args: CompletionsArgs) -> Result<()> {
    super::print(script(args.shell))
}

fn script(shell: Shell) -> Vec<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut super::command(), env!("CARGO_PKG_NAME"), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_completes_every_verb_and_option() {
        let command = super::super::command();
        assert_eq!(Shell::value_variants().len(), 5);
        for shell in Shell::value_variants() {
            let text = String::from_utf8(script(*shell)).unwrap();
            for verb in command.get_subcommands() {
                assert!(text.contains(verb.get_name()), "{shell}: no {}", verb.get_name());
                for option in verb.get_arguments().filter_map(|a| a.get_long()) {
                    assert!(text.contains(option), "{shell}: {} has no --{option}", verb.get_name());
                }
            }
        }
    }

    #[test]
    fn options_of_fixed_words_complete_them() {
        let text = String::from_utf8(script(Shell::Bash)).unwrap();
        for (option, words, times) in [
            ("--as", "wgsl spirv msl hlsl glsl", 1),
            ("--variant", "tiled direct lanes", 3),
            ("--workload", "w1 w2 w3", 1),
            ("--loss", "bce wgan-gp", 1),
            ("--checks", "on off", 1),
        ] {
            let offers =
                format!("{option})\n                    COMPREPLY=($(compgen -W \"{words}\" -- \"${{cur}}\"))");
            assert_eq!(text.matches(&offers).count(), times, "{option}");
        }
    }
}
