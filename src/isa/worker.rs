//! Both ends of the pipe to a child process, which compiles for one family. The variables that choose the family must be set
//! before the loader is loaded, and a driver that crashes must only end its own process.

use super::driver::{Compiled, Driver, Refusal};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Where distributions put the manifests of Vulkan drivers.
const FOLDERS: [&str; 4] = [
    "/usr/share/vulkan/icd.d",
    "/usr/local/share/vulkan/icd.d",
    "/etc/vulkan/icd.d",
    "/run/opengl-driver/share/vulkan/icd.d",
];

/// How to install what is missing, for Debian and its relatives.
const INSTALL: &str =
    "install Mesa's Vulkan drivers and the loader (Debian: apt install mesa-vulkan-drivers libvulkan1)";

/// The families of Mesa 22.3 that have been tried.
const KNOWN: &str = "tonga, polaris10, vega10, vega20, raven, raven2, renoir, arcturus, navi10, navi14, navi21, navi22, \
                     navi23, vangogh, rembrandt and gfx1100";

/// What a child says, one line of JSON each.
#[derive(Debug, Deserialize, Serialize)]
enum Message {
    /// First, once the device is open.
    Open { device: String, driver: String },
    /// First, if it cannot be opened.
    Refused(Refusal),
    /// The answer to a line that names a SPIR-V file.
    Compiled(Compiled),
    /// The same, if the driver refuses it.
    NotCompiled(String),
}

/// Why a family cannot be compiled for.
#[derive(Debug)]
pub enum Unavailable {
    /// The driver or the loader is not installed: a sentence for the user.
    Missing(String),
    /// Another fault.
    Broken(Error),
}

/// RADV's manifest, or the sentence that says how to get it.
///
/// # Errors
/// If no driver is installed.
pub fn manifest() -> Result<PathBuf, String> {
    manifest_in(&FOLDERS)
}

fn manifest_in(folders: &[&str]) -> Result<PathBuf, String> {
    let is_radv = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("radeon_icd") && name.ends_with(".json") && !name.contains("i686")
    };
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_radv).collect();
    found.sort();
    let missing = || format!("no manifest radeon_icd*.json of RADV in {}: {INSTALL}", folders.join(", "));
    found.into_iter().next().ok_or_else(missing)
}

/// A child process with an open device.
pub(super) struct Worker {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// What the driver prints: read only if the process ends.
    complaints: File,
    /// Driver and version.
    pub(super) driver: String,
}

impl Worker {
    /// Starts this program again, with the argument `argument`, as the worker of `family`.
    ///
    /// # Errors
    /// Without loader, or if the driver does not know the family.
    pub(super) fn start(argument: &str, manifest: &Path, family: &str) -> Result<Worker, Unavailable> {
        let broken = |what: String| Unavailable::Broken(Error::device(format!("{family}: {what}")));
        let program = std::env::current_exe().map_err(|e| broken(e.to_string()))?;
        let complaints = tempfile::tempfile().map_err(|e| broken(e.to_string()))?;
        let stderr = complaints.try_clone().map_err(|e| broken(e.to_string()))?;
        let mut command = Command::new(program);
        command.arg(argument).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr);
        // Old and new names of the same variables.
        command.env("VK_ICD_FILENAMES", manifest).env("VK_DRIVER_FILES", manifest);
        command.env("RADV_FORCE_FAMILY", family).env("AMD_FORCE_FAMILY", family);
        // The layer that sorts devices needs a desktop; a cached pipeline has no statistics; debug options change the code.
        command.env("NODEVICE_SELECT", "1").env("MESA_SHADER_CACHE_DISABLE", "true");
        command.env_remove("RADV_DEBUG").env_remove("RADV_PERFTEST").env_remove("ACO_DEBUG");
        let mut child = command.spawn().map_err(|e| broken(e.to_string()))?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(broken("the process has no pipes".into()));
        };
        let answers = BufReader::new(answers);
        let mut worker = Worker { child, requests, answers, complaints, driver: String::new() };
        let known = format!("RADV of Mesa 22.3 knows {KNOWN}");
        let refused = |why: String| Unavailable::Broken(Error::input(format!("family `{family}`: {why}; {known}")));
        // RADV ends the process when it does not know the family.
        match worker.answer().map_err(refused)? {
            Message::Open { driver, .. } => worker.driver = driver,
            Message::Refused(Refusal::NoLoader(why)) => {
                return Err(Unavailable::Missing(format!("no Vulkan loader ({why}): {INSTALL}")));
            }
            Message::Refused(Refusal::Failed(why)) => return Err(refused(why)),
            other => return Err(broken(format!("unexpected answer {other:?}"))),
        }
        Ok(worker)
    }

    /// Compiles the SPIR-V of a file.
    ///
    /// # Errors
    /// `Err(Ok(why))` if the driver refuses it, `Err(Err(why))` if the process ended, after which a new one must be started.
    pub(super) fn compile(&mut self, spirv: &Path) -> Result<Compiled, Result<String, String>> {
        // A process that ended is noticed when its answer is missing.
        let _ = writeln!(self.requests, "{}", spirv.display()).and_then(|()| self.requests.flush());
        match self.answer().map_err(Err)? {
            Message::Compiled(compiled) => Ok(compiled),
            Message::NotCompiled(why) => Err(Ok(why)),
            other => Err(Err(format!("unexpected answer {other:?}"))),
        }
    }

    fn answer(&mut self) -> Result<Message, String> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).map_err(|e| e.to_string())?;
        if read == 0 {
            let status = self.child.wait().map_or_else(|e| e.to_string(), |status| status.to_string());
            return Err(format!("the driver's process ended ({status}){}", self.last_complaint()));
        }
        serde_json::from_str(&line).map_err(|e| format!("`{}`: {e}", line.trim_end()))
    }

    fn last_complaint(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = self.complaints.rewind().and_then(|()| self.complaints.read_to_end(&mut bytes));
        let text = String::from_utf8_lossy(&bytes);
        let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).filter(|_| read.is_ok());
        last.map_or(String::new(), |line| format!(": {line}"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It waits for a request, or hangs: either way nothing of it is needed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's part: opens the device, then answers each line of standard input. Ends the process.
pub fn serve() -> ! {
    let say = |message: &Message| {
        let line = serde_json::to_string(message).unwrap_or_default();
        let mut out = std::io::stdout().lock();
        // Without a reader there is nobody left to tell.
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            std::process::exit(1);
        }
    };
    let driver = match Driver::open() {
        Ok(driver) => driver,
        Err(refusal) => {
            say(&Message::Refused(refusal));
            std::process::exit(0);
        }
    };
    say(&Message::Open { device: driver.name.clone(), driver: driver.version.clone() });
    for path in std::io::stdin().lines().map_while(std::io::Result::ok) {
        let compiled = std::fs::read(&path).map_err(|e| format!("{path}: {e}"));
        say(&match compiled.and_then(|bytes| driver.compile(&super::build::words(&bytes))) {
            Ok(compiled) => Message::Compiled(compiled),
            Err(why) => Message::NotCompiled(why),
        });
    }
    // Without destructors: the driver's null device is not made to be torn down.
    std::process::exit(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_of_this_architecture_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let missing = manifest_in(&["/nonexistent", path]).unwrap_err();
        assert!(missing.contains(path) && missing.contains("apt install mesa-vulkan-drivers"), "{missing}");
        for name in ["lvp_icd.x86_64.json", "radeon_icd.i686.json", "radeon_icd.x86_64.json"] {
            std::fs::write(folder.path().join(name), "{}").unwrap();
        }
        assert_eq!(manifest_in(&["/nonexistent", path]), Ok(folder.path().join("radeon_icd.x86_64.json")));
    }
}
