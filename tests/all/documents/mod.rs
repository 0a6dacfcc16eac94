//! The documents: links lead somewhere, the files, commands, options and keys that they name exist, and their blocks of commands
//! run as printed.

#[cfg(unix)]
mod blocks;
mod commands;
mod markdown;

use commands::{Program, keys_of, mistakes};
use fedgan::fed::attack::{OnImages, OnUpdate};
use fedgan::fed::{Pre, Rule};
use fedgan::kernels;
use markdown::Document;
use std::path::{Component, Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Paths of all documents, relative to the root.
fn documents() -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap().flatten() {
            let path = folder.join(entry.file_name());
            let name = entry.file_name().to_string_lossy().into_owned();
            let skipped = name.starts_with('.') && name != ".github" || ["target", "runs", "sweeps"].contains(&&*name);
            match entry.path().is_dir() {
                true if !skipped => folders.push(path),
                false if name.ends_with(".md") || folder.ends_with("ISSUE_TEMPLATE") => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Every finding of `check` in every document.
fn findings(check: impl Fn(&Path, &str) -> Vec<String>) -> String {
    let documents = documents();
    assert!(documents.len() > 15 && documents.contains(&"README.md".into()), "{documents:?}");
    let found = |path: &PathBuf| {
        let found = check(path, &read(path));
        found.into_iter().map(|what| format!("{}: {what}", path.display())).collect::<Vec<_>>()
    };
    documents.iter().flat_map(found).collect::<Vec<_>>().join("\n")
}

/// `path` without `.` and `..`; `None` if it leaves the root.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            Component::ParentDir => out.pop().then_some(())?,
            _ => return None,
        }
    }
    Some(out)
}

/// Relative links of the document at `path` whose file or anchor does not exist.
fn dead_links(path: &Path, text: &str) -> Vec<String> {
    let own = Document::parse(text);
    let is_dead = |link: &&str| {
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let folder = path.parent().unwrap_or(Path::new(""));
        let target = if file.is_empty() { Some(path.into()) } else { plain(&folder.join(file)) };
        let Some(target) = target.filter(|target| root().join(target).exists()) else { return true };
        let anchors = match (anchor, file) {
            ("", _) => return false,
            (_, "") => own.anchors.clone(),
            _ => Document::parse(&read(&target)).anchors,
        };
        !anchors.iter().any(|a| a == anchor)
    };
    let relative = |link: &&str| !["https://", "http://", "mailto:"].iter().any(|start| link.starts_with(start));
    let dead = own.links().into_iter().filter(relative).filter(is_dead);
    dead.map(|link| format!("dead link {link}")).collect()
}

/// Paths in inline code that do not exist, such as `src/no.rs`. A word in capitals is a placeholder.
fn missing_files(_: &Path, text: &str) -> Vec<String> {
    const FOLDERS: [&str; 10] =
        ["src", "tests", "docs", "scripts", "shaders", "assets", "benches", "examples", ".ci", ".github"];
    let is_path = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let placeholder = |part: &str| {
        let stem = part.split('.').next().unwrap_or_default();
        !stem.is_empty() && stem.chars().all(|c| c.is_ascii_uppercase() || c == '_') && stem != "README"
    };
    let document = Document::parse(text);
    let inline = document.code.iter().filter(|code| code.language.is_none()).map(|code| code.text.as_str());
    let paths = inline.filter(|text| {
        text.split_once('/').is_some_and(|(folder, _)| FOLDERS.contains(&folder))
            && is_path(text)
            && !text.split('/').any(placeholder)
    });
    paths.filter(|path| !root().join(path).exists()).map(|path| format!("no file {path}")).collect()
}

/// Names of tests in inline code that no test has. A name of at least four words is taken for that of a test.
fn missing_tests(_: &Path, text: &str) -> Vec<String> {
    let sources = ["src", "tests"].map(|folder| sources(&root().join(folder))).concat();
    let is_name = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let document = Document::parse(text);
    let inline = document.code.iter().filter(|code| code.language.is_none()).map(|code| code.text.as_str());
    let tests = inline.filter(|text| is_name(text) && text.matches('_').count() > 2 && kernels::find(text).is_none());
    tests.filter(|name| !sources.contains(&format!("fn {name}("))).map(|name| format!("no test {name}")).collect()
}

/// The text of all Rust files below `folder`.
fn sources(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let text = |path: PathBuf| match path.extension() {
        _ if path.is_dir() => sources(&path),
        Some(end) if end == "rs" => std::fs::read_to_string(&path).unwrap(),
        _ => String::new(),
    };
    entries.map(text).collect()
}

#[test]
fn links_lead_to_files_and_headings() {
    let found = findings(dead_links);
    assert!(found.is_empty(), "{found}");
}

#[test]
fn named_files_exist() {
    let found = findings(missing_files);
    assert!(found.is_empty(), "{found}");
}

#[test]
fn named_tests_exist() {
    for page in ["CONTRIBUTING.md", "docs/writing-a-kernel.md"] {
        let found = missing_tests(Path::new(page), &read(page));
        assert!(found.is_empty(), "{page}: {found:?}");
    }
}

#[test]
fn commands_and_options_exist() {
    let program = Program::new();
    let found = findings(|_, text| mistakes(&program, text));
    assert!(found.is_empty(), "{found}");
}

#[test]
fn keys_exist() {
    // Some golden operations have names like keys.
    let operations = read("src/check/golden/spec.rs");
    let is_operation = |finding: &String| {
        finding.strip_prefix("no key ").is_some_and(|name| operations.contains(&format!("\"{name}\"")))
    };
    let found = findings(|page, text| {
        let golden = page.ends_with("golden-format.md");
        keys_of(text).into_iter().filter(|finding| !(golden && is_operation(finding))).collect()
    });
    assert!(found.is_empty(), "{found}");
}

/// Blocks whose words after the fence are not understood, and commands in blocks that say neither `sh` nor `sh no-run`.
fn unmarked_blocks(_: &Path, text: &str) -> Vec<String> {
    const LANGUAGES: [&str; 8] = ["", "sh", "toml", "python", "csv", "rust", "wgsl", "text"];
    let is_command = |line: &&str| ["fedgan ", "cargo "].iter().any(|start| line.trim_start().starts_with(start));
    let mut found = Vec::new();
    for code in Document::parse(text).code {
        let Some(language) = code.language.as_deref() else { continue };
        let notes = code.notes.join(" ");
        if !LANGUAGES.contains(&language) || !(notes.is_empty() || language == "sh" && notes == "no-run") {
            found.push(format!("unknown words after a fence: {language} {notes}"));
        }
        if language.is_empty() {
            found.extend(code.text.lines().find(is_command).map(|line| format!("not marked as sh: {}", line.trim())));
        }
    }
    found
}

#[test]
fn blocks_of_commands_are_marked() {
    let found = findings(unmarked_blocks);
    assert!(found.is_empty(), "{found}");
    let text = "```\nfedgan man\n```\n\n    cargo run\n\n```bash\nx\n```\n\n```toml no-run\nx\n```\n\n```sh no-run\nfedgan\n```\n";
    let expected = [
        "not marked as sh: fedgan man",
        "not marked as sh: cargo run",
        "unknown words after a fence: bash ",
        "unknown words after a fence: toml no-run",
    ];
    assert_eq!(unmarked_blocks(Path::new(""), text), expected);
}

/// Lines of Rust and WGSL in `text` that stand in no source file.
fn foreign_lines(text: &str) -> Vec<String> {
    let rust = sources(&root().join("src"));
    let shaders: String = kernels::shader::files().iter().map(|(_, text)| *text).collect();
    let mut found = Vec::new();
    for code in Document::parse(text).code {
        let source = match code.language.as_deref() {
            Some("rust") => &rust,
            Some("wgsl") => &shaders,
            _ => continue,
        };
        let lines = code.text.lines().map(str::trim);
        found.extend(lines.filter(|line| !source.lines().any(|other| other.trim() == *line)).map(String::from));
    }
    found
}

#[test]
fn quoted_code_is_in_the_sources() {
    const PAGE: &str = "docs/writing-a-kernel.md";
    assert_eq!(foreign_lines(&read(PAGE)), [""; 0]);
    let found = foreign_lines(&broken(PAGE, "gamma(self.terms + 1)", "gamma(self.terms)"));
    assert!(found.len() == 1 && found[0].contains("gamma(self.terms) *"), "{found:?}");
    let found = foreign_lines(&broken(PAGE, "ky < p.k; ky += s", "ky < p.k; ky++"));
    assert_eq!(found, ["for (var ky = ky0; ky < p.k; ky++) {"]);
}

#[test]
fn every_verb_is_documented() {
    let texts: Vec<String> = documents().iter().filter(|p| !p.ends_with("CHANGELOG.md")).map(read).collect();
    for verb in fedgan::cli::command().get_subcommands() {
        let command = format!("fedgan {}", verb.get_name());
        assert!(texts.iter().any(|text| text.contains(&command)), "no document has `{command}`");
    }
}

/// Rules and attacks that a page does not name in code type.
fn unnamed(text: &str, names: &[&'static str]) -> Vec<&'static str> {
    names.iter().copied().filter(|name| !text.contains(&format!("`{name}`"))).collect()
}

#[test]
fn every_rule_and_attack_is_documented() {
    let (robust, attacks) = (read(root().join("docs/robust.md")), read(root().join("docs/attacks.md")));
    assert_eq!(unnamed(&robust, Rule::NAMES), Vec::<&str>::new());
    assert_eq!(unnamed(&robust, Pre::NAMES), ["none"]);
    assert_eq!(unnamed(&attacks, OnUpdate::NAMES), ["none"]);
    assert_eq!(unnamed(&attacks, OnImages::NAMES), Vec::<&str>::new());
    assert_eq!(unnamed(&attacks.replace("`mimic`", ""), &["mimic"]), ["mimic"]);
}

/// A copy of a document in which `from` is replaced.
fn broken(path: &str, from: &str, to: &str) -> String {
    let text = read(path);
    assert!(text.contains(from), "{path} has no {from}");
    text.replace(from, to)
}

#[test]
fn every_broken_link_is_found() {
    let mut links = 0;
    for path in documents() {
        let text = read(&path);
        let document = Document::parse(&text);
        for link in document.links().into_iter().filter(|link| !link.contains("://")) {
            // `x#y` becomes `xno#y`, then `x#yno`.
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let mut wrong = vec![format!("{link}#no-such-heading")];
            if !file.is_empty() {
                wrong.push(format!("{file}no#{anchor}").trim_end_matches('#').to_string());
            }
            if !anchor.is_empty() {
                wrong[0] = format!("{link}no");
            }
            for wrong in wrong.iter().filter(|_| file.is_empty() || file.ends_with(".md")) {
                let found = dead_links(&path, &text.replace(&format!("]({link})"), &format!("]({wrong})")));
                assert!(found.contains(&format!("dead link {wrong}")), "{}: {wrong}: {found:?}", path.display());
                links += 1;
            }
        }
    }
    assert!(links > 50, "{links}");
    assert_eq!(
        dead_links(Path::new("docs/x.md"), "[a](../../outside.md) [b](/etc)"),
        ["dead link ../../outside.md", "dead link /etc"]
    );
}

#[test]
fn broken_commands_are_found() {
    let program = Program::new();
    let found = |from: &str, to: &str| mistakes(&program, &broken("docs/running.md", from, to)).join("\n");
    assert!(found("fedgan run --resume", "fedgan rum --resume").contains("no verb rum"));
    assert!(found("--resume RUN", "--resum RUN").contains("fedgan run has no option --resum"));
    assert!(found("`--retry-device N`", "`--retry-divice N`").contains("no option --retry-divice"));
    assert!(found("`run --no-tuning`", "`run --real`").contains("fedgan run has no option --real"));
    // Blocks, also indented ones.
    let found =
        mistakes(&program, &broken("docs/validate.md", "fedgan validate --compare", "fedgan validate --compar"));
    assert_eq!(found, ["fedgan validate has no option --compar"]);
    let found = mistakes(&program, &broken("BENCHMARKS.md", "--roofline", "--rooflin"));
    assert_eq!(found, ["fedgan bench has no option --rooflin"]);
    let found = mistakes(&program, "```\nFEDGAN_DEVICE=cpu fedgan sample g -m 3\ncargo run --release -- rub x\n```");
    assert_eq!(found, ["fedgan sample has no option -m", "no verb rub"]);
}

#[test]
fn broken_keys_are_found() {
    let found = |path: &str, from: &str, to: &str| keys_of(&broken(path, from, to)).join("\n");
    assert!(found("docs/running.md", "--set train.lr=", "--set train.rl=").contains("no key train.rl"));
    assert!(
        found("docs/reports.md", "`evaluation.metrics`", "`evaluation.metric`").contains("no key evaluation.metric")
    );
    assert!(found("docs/sweeps.md", "\"model.width\" = 16", "\"model.widht\" = 16").contains("model.widht"));
    assert!(found("docs/sweeps.md", "key = \"train.lr\"", "key = \"train.rl\"").contains("train.rl"));
    assert!(keys_of("```toml\nruonds = 3\n```")[0].contains("ruonds: unknown key"));
    assert!(keys_of("```toml\n[train]\nlr = 3\nbatch = 0\n```")[0].contains("train.batch = 0"));
}

#[test]
fn missing_files_and_tests_are_found() {
    let found =
        missing_files(Path::new(""), &broken("CONTRIBUTING.md", "`tests/all/gradients.rs`", "`tests/all/gone.rs`"));
    assert!(!found.is_empty() && found.iter().all(|f| f == "no file tests/all/gone.rs"), "{found:?}");
    let found = missing_tests(Path::new(""), &broken("CONTRIBUTING.md", "every_case_agrees", "no_case_agrees"));
    assert_eq!(found, ["no test no_case_agrees_with_the_reference"]);
}
