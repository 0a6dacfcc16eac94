//! Command lines and keys in the code of documents.

use super::markdown::{Code, Document};
use clap::Command;
use fedgan::config::{Draft, Sweep, keys};

/// Options of other programs that documents name without the program.
const FOREIGN: [&str; 3] = ["--gpus", "--signal", "--stop-timeout"];

/// Keys of version 0.1.0 that documents name. They are read, and have no row.
const FORMER: [&str; 1] = ["attack.scale"];

/// What the program and the scripts accept.
pub struct Program {
    command: Command,
    scripts: String,
}

impl Program {
    pub fn new() -> Program {
        let mut command = fedgan::cli::command();
        command.build();
        let script = std::fs::read_to_string(super::root().join("scripts/test")).unwrap();
        Program { command, scripts: script }
    }

    fn verb(&self, name: &str) -> Option<&Command> {
        self.command.find_subcommand(name)
    }

    /// Whether `option` belongs to any verb, to a script, or to another program.
    fn knows(&self, option: &str) -> bool {
        let script = self.scripts.split_whitespace().any(|word| word.trim_matches(['[', ']', '=', ')']) == option);
        script || FOREIGN.contains(&option) || self.command.get_subcommands().any(|verb| has(verb, option))
    }
}

/// Whether a command has an option: `--name` or `-n`.
fn has(command: &Command, option: &str) -> bool {
    command.get_arguments().any(|arg| {
        let long = arg.get_long().is_some_and(|long| option.strip_prefix("--") == Some(long));
        long || arg.get_short().is_some_and(|short| option == format!("-{short}"))
    })
}

/// The option in a word, without value and brackets: `--json` of `[--json=FILE]`.
fn option(word: &str) -> Option<&str> {
    let word = word.trim_start_matches('[');
    let name = word.split(['=', '[', ']', ',']).next()?;
    let letter = name.trim_start_matches('-').starts_with(|c: char| c.is_ascii_alphabetic());
    (name.starts_with('-') && letter).then_some(name)
}

fn is_placeholder(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase())
}

/// The words of each simple command of a shell text. Quotes group words and are dropped.
fn commands(text: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words, mut word) = (Vec::new(), Vec::new(), String::new());
    let mut quote = None;
    for c in text.replace("\\\n", " ").chars().chain(['\n']) {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => quote = Some(c),
            (None, c) if c.is_whitespace() || ";&|()".contains(c) => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                if c != ' ' {
                    commands.push(std::mem::take(&mut words));
                }
            }
            (None, c) => word.push(c),
        }
    }
    commands
}

/// The arguments for fedgan in a simple command: after `fedgan`, or after the `--` of `cargo run`.
fn arguments(words: &[String]) -> Option<&[String]> {
    let after = |word: &str| words.iter().position(|w| w == word).map(|at| &words[at + 1..]);
    let cargo = words.starts_with(&["cargo".into(), "run".into()]);
    let other = cargo && words.iter().any(|word| word == "--manifest-path" || word == "--example");
    if cargo { after("--").filter(|_| !other) } else { after("fedgan") }
}

fn is_shell(code: &Code) -> bool {
    matches!(code.language.as_deref(), None | Some("" | "sh" | "bash" | "console"))
}

/// Verbs and options in `text` that do not exist.
pub fn mistakes(program: &Program, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for code in Document::parse(text).code.iter().filter(|code| is_shell(code)) {
        for words in commands(&code.text) {
            match arguments(&words) {
                Some(arguments) => check(program, arguments, &mut found),
                None if code.language.is_none() => check_part(program, &words, &mut found),
                None => {}
            }
        }
    }
    found
}

/// Inline code without the program's name: `--set KEY=VALUE`, `run --resume RUN`.
fn check_part(program: &Program, words: &[String], found: &mut Vec<String>) {
    let Some(first) = words.first() else { return };
    if first.starts_with("--") {
        let options = words.iter().filter_map(|word| option(word)).filter(|o| o.starts_with("--"));
        found.extend(options.filter(|o| !program.knows(o)).map(|o| format!("no option {o}")));
    } else if program.verb(first).is_some() && words.iter().any(|word| option(word).is_some()) {
        check(program, words, found);
    }
}

fn check(program: &Program, arguments: &[String], found: &mut Vec<String>) {
    let Some((first, rest)) = arguments.split_first() else { return };
    let options = || rest.iter().take_while(|word| *word != "--").filter_map(|word| option(word));
    if let Some(global) = option(first) {
        found.extend((!has(&program.command, global)).then(|| format!("fedgan has no option {global}")));
    } else if let Some(verb) = program.verb(first) {
        let unknown = options().filter(|o| !has(verb, o));
        found.extend(unknown.map(|o| format!("fedgan {first} has no option {o}")));
    } else if is_placeholder(first) {
        found.extend(options().filter(|o| !program.knows(o)).map(|o| format!("no option {o}")));
    } else if first.chars().all(|c| c.is_ascii_lowercase() || c == '-') {
        found.push(format!("no verb {first}"));
    }
}

/// Messages about keys in `text` that do not exist: in `--set`, in TOML blocks, and alone in inline code.
pub fn keys_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for code in Document::parse(text).code {
        if code.language.as_deref() == Some("toml") {
            found.extend(refused(&code.text));
        } else if is_shell(&code) {
            let set = commands(&code.text).iter().flat_map(|words| set_keys(words)).collect::<Vec<_>>();
            let alone = code.language.is_none().then(|| key_alone(&code.text)).flatten().map(String::from);
            let known = |key: &str| keys::is_known(keys::current(key)) || FORMER.contains(&key);
            let unknown = set.into_iter().chain(alone).filter(|key| !known(key));
            found.extend(unknown.map(|key| format!("no key {key}")));
        }
    }
    found
}

/// The message about an experiment or a sweep that does not load.
fn refused(text: &str) -> Option<String> {
    let sweep = text.contains("[[axis]]");
    let error = if sweep {
        Sweep::parse("block", text, None).err()
    } else {
        Draft::parse("block".into(), text).and_then(Draft::config).err()
    };
    error.map(|error| error.to_string())
}

/// The keys after each `--set` of a command.
fn set_keys(words: &[String]) -> Vec<String> {
    let values = words.iter().zip(words.iter().skip(1)).filter(|(word, _)| *word == "--set").map(|(_, value)| value);
    let keys = values.filter_map(|value| value.split_once('=')).map(|(key, _)| key.trim().to_string());
    keys.filter(|key| !is_placeholder(key)).collect()
}

/// The dotted path that `code` consists of, up to an `=`, if it begins like a key: `train.lr`, `train.lr = 1e-4`.
fn key_alone(code: &str) -> Option<&str> {
    let path = code.split('=').next()?.trim();
    let (table, rest) = path.split_once('.')?;
    let is_word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let file = [".rs", ".toml", ".json", ".jsonl", ".csv", ".png"].iter().any(|end| path.ends_with(end));
    let section = keys::all().any(|key| key.path.starts_with(&format!("{table}.")));
    (section && !file && rest.split('.').all(is_word)).then_some(path)
}
