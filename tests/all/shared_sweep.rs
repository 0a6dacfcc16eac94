//! Sweeps shared by several processes, some of which are killed, from the user's point of view.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const GRID: &str = r#"
name = "shared"
seeds = [1, 2, 3, 4]
[set]
rounds = ROUNDS
device = "cpu"
model = { image_size = 16, width = 2, latent = 4 }
"train.batch" = 4
"train.local_steps" = 1
"federation.clients" = 2
data = { kind = "dermoscopy", n = 24 }
evaluation = { samples = 4, grid = 2, every = 0, metrics = ["sliced-wasserstein"] }
"checkpoint.every" = 1
[[axis]]
key = "train.lr"
values = [1e-4, 2e-4, 3e-4]
"#;

const CELLS: usize = 12;

fn grid(dir: &Path, rounds: u32) {
    std::fs::write(dir.join("s.toml"), GRID.replace("ROUNDS", &rounds.to_string())).unwrap();
}

fn sweep(dir: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fedgan"));
    command.arg("sweep").arg(dir.join("s.toml")).arg("--out").arg(dir.join("out"));
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// All cells are finished, the table lists each once, and nothing else remains; returns the results of all cells.
fn complete(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let out = dir.join("out");
    let table = std::fs::read_to_string(out.join("results.csv")).unwrap();
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(out.join(folder)).into_iter().flatten();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let cells = names("cells");
    assert!(cells.len() == CELLS && cells.iter().all(|name| !name.ends_with(".part")), "{cells:?}");
    assert_eq!(table.lines().count(), 1 + CELLS, "{table}");
    for cell in &cells {
        let (name, seed) = cell.rsplit_once("-s").unwrap();
        assert_eq!(
            table.lines().filter(|l| l.starts_with(&format!("{name},{name},{seed},"))).count(),
            1,
            "{cell}\n{table}"
        );
        assert!(!out.join("cells").join(cell).join(".fedgan-unfinished").exists(), "{cell}");
    }
    assert!(names(".left-out").is_empty());
    let read = |cell: String| {
        (cell.clone(), std::fs::read(out.join("cells").join(cell).join("generator.safetensors")).unwrap())
    };
    cells.into_iter().map(read).collect()
}

/// Ten processes that start together all finish, every cell is trained by exactly one of them, and the table is
/// complete.
#[test]
fn processes_that_start_together_share_the_cells() {
    let temp = tempfile::tempdir().unwrap();
    let mut expected = None;
    for processes in [1, 2, 10] {
        let dir = temp.path().join(processes.to_string());
        std::fs::create_dir(&dir).unwrap();
        grid(&dir, 3);
        let children: Vec<Child> = (0..processes).map(|_| sweep(&dir)).collect();
        let mut trained = 0;
        for child in children {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
            assert!(!said.contains("resumed") && !said.contains("starts again"), "{said}");
            // A cell trained here is reported with its time and the names of its values, others as kept or done.
            let cell = |l: &&str| l.starts_with('[') && !l.contains("  kept  ") && !l.contains("  done  ");
            trained += said.lines().filter(cell).count();
        }
        assert_eq!(trained, CELLS, "every cell once");
        let found = complete(&dir);
        assert!(*expected.get_or_insert_with(|| found.clone()) == found, "as by one process");
    }
}

/// Processes are killed while others continue; the others, or later ones, complete their cells.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "slow: scripts/test --all"]
fn a_shared_sweep_survives_the_death_of_its_processes() {
    let temp = tempfile::tempdir().unwrap();
    let (alone, dir) = (temp.path().join("alone"), temp.path().join("shared"));
    for folder in [&alone, &dir] {
        std::fs::create_dir(folder).unwrap();
        grid(folder, 12);
    }
    assert!(sweep(&alone).wait_with_output().unwrap().status.success());
    let expected = complete(&alone);
    for delay in [5, 40, 90, 150, 210] {
        let mut children: Vec<Child> = (0..3).map(|_| sweep(&dir)).collect();
        std::thread::sleep(Duration::from_millis(delay));
        for child in &mut children {
            child.kill().unwrap();
        }
        // Not waited for, so that the next ones meet claims of zombies.
        std::mem::forget(children);
    }
    let mut children: Vec<Child> = (0..4).map(|_| sweep(&dir)).collect();
    std::thread::sleep(Duration::from_millis(120));
    children.remove(0).kill().unwrap();
    children.remove(0).kill().unwrap();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(complete(&dir) == expected, "as without deaths");
}
