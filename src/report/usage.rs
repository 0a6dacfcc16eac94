//! Resources of the process: counters that reveal a leak.

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Resident memory of this process in bytes; `None` if the system does not report it.
pub fn host_bytes() -> Option<u64> {
    let own = Pid::from_u32(std::process::id());
    let mut system = System::new();
    let memory = ProcessRefreshKind::nothing().with_memory().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), false, memory);
    system.process(own).map(|process| process.memory()).filter(|bytes| *bytes > 0)
}

/// Files, sockets and devices that this process has open; Linux only.
pub fn open_files() -> Option<u64> {
    let listing = cfg!(target_os = "linux").then(|| std::fs::read_dir("/proc/self/fd"))?.ok()?;
    // The listing itself is one of them.
    Some((listing.count() as u64).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_counted() {
        let before = host_bytes().unwrap();
        let words = std::hint::black_box(vec![1u8; 64 << 20]);
        let after = host_bytes().unwrap();
        assert!(before > 1 << 20 && after > before + (32 << 20), "{before} {after}");
        drop(words);
        assert_eq!(open_files().is_some(), cfg!(target_os = "linux"));
        assert!(open_files().is_none_or(|files| files >= 3), "three standard streams");
    }
}
