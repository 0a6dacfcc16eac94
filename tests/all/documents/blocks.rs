//! The documents' blocks of commands, run as a reader would: in the order of the page, from an empty directory.

use super::markdown::{Code, Document};
use fedgan::gpu::{Choice, DeviceTarget, choose};
use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A block that takes longer hangs: all blocks together take one processor minute in the dev profile.
const PATIENCE: Duration = Duration::from_secs(600);

/// Whether a block is run: `sh` without notes.
fn is_run(code: &Code) -> bool {
    code.language.as_deref() == Some("sh") && code.notes.is_empty()
}

/// Whether a quote is open at the end of a shell text.
fn in_quotes(text: &str) -> bool {
    let quote = text.chars().fold(None, |open, c| match (open, c) {
        (Some(quote), c) if c == quote => None,
        (None, '\'' | '"') => Some(c),
        (open, _) => open,
    });
    quote.is_some()
}

/// The commands of a block with their line in it, from 0. A command reaches over escaped line ends, open quotes and the document
/// that it reads from the lines after it (`<<'END'`).
fn commands(block: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = block.lines().enumerate();
    while let Some((at, first)) = lines.next() {
        let mut text = first.to_string();
        while text.ends_with('\\') || in_quotes(&text) {
            let Some((_, more)) = lines.next() else { break };
            text = format!("{text}\n{more}");
        }
        if let Some((_, end)) = first.split_once("<<") {
            let end = end.trim().trim_matches('\'').to_string();
            for (_, line) in lines.by_ref() {
                text = format!("{text}\n{line}");
                if line == end {
                    break;
                }
            }
        }
        if !text.trim().is_empty() {
            found.push((at, text));
        }
    }
    found
}

/// A script that runs a block, writes the line of each command to the file `at` before it, and ends at the first that fails. `sh -e`
/// alone would ignore `! command` in the middle of a block, and take a crash for the refusal that the page shows.
fn script(code: &Code, at: &Path) -> String {
    let mut script = String::from(
        "refused() { code=0; \"$@\" || code=$?; [ \"$code\" = 1 ] || [ \"$code\" = 2 ] || {\n\
         echo \"exit code $code, expected a refusal: 1 or 2\"; exit 1; }; }\n",
    );
    for (line, text) in commands(&code.text) {
        let text = text.strip_prefix("! ").map_or(text.clone(), |rest| format!("refused {rest}"));
        script += &format!("echo {} > '{}'\n{text}\n", code.line + line, at.display());
    }
    script
}

/// Waits for the end of a process and its children, which form a group; `None` if they had to be killed.
fn ended(mut child: Child) -> Option<ExitStatus> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // SAFETY: `kill` has no memory effects; the group is that of a child which was not waited for.
    unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
    child.wait().unwrap();
    None
}

/// Runs a block in `dir`; the error has line, command, exit code and output. Files of this test are in `beside`.
fn run(code: &Code, dir: &Path, beside: &Path) -> Result<(), String> {
    let (at, said) = (beside.join("at"), beside.join("said"));
    let out = File::create(&said).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_fedgan")).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(PathBuf::from(binary)).chain(std::env::split_paths(&path)));
    let mut command = Command::new("sh");
    command.args(["-e", "-c", &script(code, &at)]).current_dir(dir).env("PATH", path.unwrap()).process_group(0);
    command.env_remove("FEDGAN_DEVICE").stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
    let status = ended(command.spawn().unwrap());
    let why = match status {
        Some(status) if status.success() => return Ok(()),
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        },
        None => format!("no end within {} s", PATIENCE.as_secs()),
    };
    let line: usize = std::fs::read_to_string(at).unwrap_or_default().trim().parse().unwrap_or(code.line);
    let failed = commands(&code.text).into_iter().find(|(n, _)| code.line + n == line);
    let failed = failed.map_or(code.text.clone(), |(_, text)| text);
    let said = String::from_utf8_lossy(&std::fs::read(said).unwrap()).into_owned();
    Err(format!("{line}: {failed}\n{why}\n{said}"))
}

/// Runs the blocks of a page up to the first that fails, and returns their number.
fn run_page(page: &Path, text: &str) -> Result<usize, String> {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("page");
    std::fs::create_dir(&dir).unwrap();
    let blocks: Vec<Code> = Document::parse(text).code.into_iter().filter(is_run).collect();
    for block in &blocks {
        run(block, &dir, temp.path()).map_err(|what| format!("{}:{what}", page.display()))?;
    }
    Ok(blocks.len())
}

#[test]
#[ignore = "slow: scripts/test --all"]
fn blocks_of_commands_run_as_printed() {
    match choose("gpu") {
        Ok(Choice { target: DeviceTarget::Gpu(_), .. }) => {}
        Ok(Choice { reason, .. }) => panic!("the pages on kernels need a Vulkan adapter: {reason}"),
        Err(why) => panic!("the pages on kernels need a Vulkan adapter: run scripts/test --install-driver: {why}"),
    }
    let (mut failures, mut blocks) = (Vec::new(), 0);
    for page in super::documents() {
        let started = Instant::now();
        match run_page(&page, &super::read(&page)) {
            Ok(0) => {}
            Ok(n) => {
                blocks += n;
                println!("{}: {n} in {:.1} s", page.display(), started.elapsed().as_secs_f64());
            }
            Err(what) => failures.push(what),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(blocks >= 20, "{blocks} blocks: the others are not marked as sh any more");
}

/// A page with one block.
fn page(block: &str) -> Result<usize, String> {
    run_page(Path::new("docs/p.md"), &format!("# A page\n\n```sh\n{block}\n```\n"))
}

#[test]
fn a_page_runs_in_one_directory_from_top_to_bottom() {
    let text = "```sh\n[ -z \"$(ls)\" ]\ncat > list <<'END'\nexit 3\n\nit's\nEND\necho \"two\nit's lines\" >> list\n```\n\
                ```sh no-run\nexit 4\n```\n```text\nexit 5\n```\n\
                ```sh\n[ \"$(wc -l < list)\" -eq 5 ]\nfedgan keys \\\n  > keys\ngrep -q local_steps keys\n! fedgan rum\n```\n";
    assert_eq!(run_page(Path::new("p.md"), text), Ok(2));
}

#[test]
fn broken_blocks_are_found_with_line_command_and_output() {
    let found = page("fedgan keys > keys\n\nfedgan rum \\\n  --set x=1\nfedgan man").unwrap_err();
    assert!(found.starts_with("docs/p.md:6: fedgan rum \\\n  --set x=1\nexit code 2\n"), "{found}");
    assert!(found.contains("unrecognized subcommand 'rum'"), "{found}");
    // A refusal that does not happen, before other commands; and a crash in its place.
    let found = page("! fedgan keys\nfedgan keys").unwrap_err();
    assert!(found.starts_with("docs/p.md:4: ! fedgan keys\nexit code 1\n"), "{found}");
    assert!(found.contains("exit code 0, expected a refusal"), "{found}");
    let found = page("! sh -c 'exit 101'").unwrap_err();
    assert!(found.contains("exit code 101, expected a refusal"), "{found}");
    // Nobody answers a command that asks.
    let found = page("cat <<'END'\na\nEND\nread answer").unwrap_err();
    assert!(found.starts_with("docs/p.md:7: read answer\nexit code 1\na\n"), "{found}");
    let found = page("kill -9 $$").unwrap_err();
    assert!(found.starts_with("docs/p.md:4: kill -9 $$\nsignal 9\n"), "{found}");
    let found = page("fedgan run no-such-experiment.toml").unwrap_err();
    assert!(found.contains("exit code 2") && found.contains("no-such-experiment.toml"), "{found}");
    // The blocks of a page after a failure would fail as well.
    let later = run_page(Path::new("p.md"), "```sh\nfalse\n```\n```sh\necho later\n```\n").unwrap_err();
    assert_eq!(later, "p.md:2: false\nexit code 1\n");
}
