//! Imitations of drivers that a test machine does not have: WSL2's, equal cards, small limits, lost devices, no memory.
//! They need a C compiler and Mesa's software driver for Vulkan.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TINY: &[&str] = &[
    "rounds=2",
    "model={ image_size = 16, width = 2, latent = 4 }",
    "train={ batch = 4, local_steps = 1 }",
    "evaluation={ samples = 4, grid = 2, metrics = [\"leakage\"] }",
    "data={ kind = \"dermoscopy\", n = 40 }",
];

/// Machines with imitated cards.
struct Imitation {
    folder: tempfile::TempDir,
    driver: PathBuf,
}

impl Imitation {
    /// `None`, with a message, if it cannot be built.
    fn build() -> Option<Imitation> {
        let skip = |why: &str| {
            eprintln!("skipped: {why}");
            None
        };
        let Some(driver) = software_driver() else { return skip("no software driver for Vulkan (lvp_icd*.json)") };
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/drivers/imitation.c");
        let library = folder.path().join("libone.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
        match compiler.output() {
            Err(_) => return skip("no C compiler (cc)"),
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        }
        std::fs::copy(&library, folder.path().join("libtwo.so")).unwrap();
        for name in ["one", "two"] {
            let library = folder.path().join(format!("lib{name}.so"));
            let manifest = serde_json::json!({
                "file_format_version": "1.0.0",
                "ICD": { "library_path": library, "api_version": "1.1.230" },
            });
            std::fs::write(folder.path().join(format!("{name}.json")), manifest.to_string()).unwrap();
        }
        Some(Imitation { folder, driver })
    }

    /// The program on a machine with `cards` (one or two) imitated ones and no other driver.
    fn fedgan(&self, cards: usize, fakes: &[(&str, &str)], args: &[&str]) -> Command {
        let manifests: Vec<String> =
            ["one", "two"][..cards].iter().map(|n| self.at(&format!("{n}.json")).display().to_string()).collect();
        let manifests = manifests.join(":");
        let mut command = Command::new(env!("CARGO_BIN_EXE_fedgan"));
        command.args(args).stdin(Stdio::null()).env("WGPU_BACKEND", "vulkan").env_remove("FEDGAN_DEVICE");
        command.env("VK_DRIVER_FILES", &manifests).env("VK_ICD_FILENAMES", &manifests).env("FAKE_DRIVER", &self.driver);
        command.env("XDG_CACHE_HOME", self.folder.path()).envs(fakes.iter().copied());
        command
    }

    fn run(&self, cards: usize, fakes: &[(&str, &str)], out: &str, more: &[&str]) -> Command {
        let mut command = self.fedgan(cards, fakes, &["run", "--out"]);
        command.arg(self.at(out));
        for set in TINY {
            command.args(["--set", set]);
        }
        command.args(more);
        command
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The library of Mesa's software driver.
fn software_driver() -> Option<PathBuf> {
    for folder in ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d"] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with("lvp_icd") {
                let manifest: serde_json::Value =
                    serde_json::from_slice(&std::fs::read(entry.path()).unwrap()).unwrap();
                return Some(manifest["ICD"]["library_path"].as_str()?.into());
            }
        }
    }
    None
}

/// Exit code, standard output and standard error, after a check that nothing panicked.
fn told(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(!err.contains("panicked") && !err.contains("internal:"), "{command:?}\n{err}");
    (output.status.code(), out, err)
}

const CARD: [(&str, &str); 2] = [("FAKE_TYPE", "2"), ("FAKE_NAME", "Imitated Card")];

#[test]
fn a_non_conformant_driver_is_listed_and_used_on_request() {
    let Some(machine) = Imitation::build() else { return };
    let fakes = [("FAKE_TYPE", "2"), ("FAKE_NAME", "Microsoft Direct3D12 (Imitated)"), ("FAKE_NONCONFORMANT", "1")];
    let (code, out, _) = told(machine.fedgan(1, &fakes, &["devices"]));
    assert_eq!(code, Some(0));
    for part in ["gpu:0  Microsoft Direct3D12 (Imitated)", "conformance tests", "auto takes the built-in cpu engine"] {
        assert!(out.contains(part), "`{part}` is not in: {out}");
    }
    let (_, out, _) = told(machine.fedgan(1, &fakes, &["devices", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&json["adapters"][0]["conformant"], &json["adapters"][0]["number"]), (&false.into(), &0.into()));
    for (i, device) in ["gpu", "gpu:0", "direct3d12"].iter().enumerate() {
        let out = format!("run-{i}");
        let (code, _, err) = told(machine.run(1, &fakes, &out, &["--device", device]));
        assert!(code == Some(0) && err.contains("not conformant"), "{device}: {err}");
        let summary = std::fs::read_to_string(machine.at(&out).join("summary.json")).unwrap();
        assert!(summary.contains("Microsoft Direct3D12 (Imitated)"), "{summary}");
    }
    let (code, _, err) = told(machine.run(1, &fakes, "auto", &[]));
    assert!(code == Some(0) && err.contains("the built-in cpu engine") && err.contains("not conformant"), "{err}");
}

#[test]
fn equal_cards_are_distinguished() {
    let Some(machine) = Imitation::build() else { return };
    let (_, out, _) = told(machine.fedgan(2, &CARD, &["devices"]));
    assert!(out.contains("gpu:0  Imitated Card") && out.contains("gpu:1  Imitated Card"), "{out}");
    for n in ["0", "1"] {
        let device = format!("gpu:{n}");
        let (code, _, err) = told(machine.run(2, &CARD, &format!("by-option-{n}"), &["--device", &device]));
        assert!(code == Some(0) && err.contains(&format!("Imitated Card (gpu:{n}, DiscreteGpu")), "{err}");
        let mut command = machine.run(2, &CARD, &format!("by-variable-{n}"), &["--set", "device=\"auto\""]);
        command.env("FEDGAN_DEVICE", "voodoo");
        assert_eq!(told(command).0, Some(0), "a key on the command line overrides the variable");
        let mut command = machine.run(2, &CARD, &format!("by-variable-alone-{n}"), &[]);
        command.env("FEDGAN_DEVICE", &device);
        assert_eq!(told(command).0, Some(0));
        for way in ["by-option", "by-variable-alone"] {
            let dir = machine.at(&format!("{way}-{n}"));
            for (file, text) in
                [("plan.toml", format!("address = \"{device}\"")), ("summary.json", format!("\"{device}\""))]
            {
                let found = std::fs::read_to_string(dir.join(file)).unwrap();
                assert!(found.contains(&text), "{way} {file}: {found}");
            }
        }
    }
    let weights = |n| std::fs::read(machine.at(&format!("by-option-{n}")).join("generator.safetensors")).unwrap();
    assert!(weights(0) == weights(1), "equal cards compute equal bits");
    let (code, _, err) = told(machine.run(2, &CARD, "none", &["--device", "gpu:2"]));
    assert!(code == Some(2) && err.contains("`gpu:2`") && err.contains("gpu:1, DiscreteGpu"), "{err}");
    let (code, _, err) = told(machine.run(2, &CARD, "none", &["--device", "imitated"]));
    assert!(code == Some(2) && err.contains("several devices match") && err.contains("gpu:N"), "{err}");
    let mut command = machine.run(2, &CARD, "none", &[]);
    command.env("FEDGAN_DEVICE", "gpu:9");
    let (code, _, err) = told(command);
    assert!(code == Some(2) && err.contains("FEDGAN_DEVICE=`gpu:9`") && err.contains("gpu:1, DiscreteGpu"), "{err}");
    assert!(!machine.at("none").exists());
    let mut command = machine.fedgan(2, &CARD, &["devices"]);
    command.env("FEDGAN_DEVICE", "gpu:1");
    let (_, out, _) = told(command);
    assert!(out.contains("FEDGAN_DEVICE=gpu:1 takes Imitated Card (gpu:1"), "{out}");
}

#[test]
fn limits_below_the_minimum_are_named() {
    let Some(machine) = Imitation::build() else { return };
    let limits = [
        (("FAKE_THREADS", "128"), "128 threads per workgroup, 256 needed"),
        (("FAKE_SHARED", "8192"), "8192 bytes of workgroup memory, 16384 needed"),
        (("FAKE_WORKGROUPS", "1024"), "1024 workgroups per dimension, 65535 needed"),
        (("FAKE_BUFFERS", "4"), " storage buffers per stage, 7 needed"),
        (("FAKE_ALIGNMENT", "1024"), "aligned to 1024 bytes"),
    ];
    for (fake, why) in limits {
        let fakes = [&CARD[..], &[fake]].concat();
        let (code, out, _) = told(machine.fedgan(1, &fakes, &["devices"]));
        assert!(code == Some(0) && out.contains(why) && out.contains("auto takes the built-in cpu engine"), "{out}");
        for device in ["gpu", "gpu:0", "imitated"] {
            let (code, _, err) = told(machine.run(1, &fakes, "none", &["--device", device]));
            assert!(code == Some(2) && err.contains(why), "{fake:?} {device}: {err}");
        }
    }
    // Small bindings do not exclude a card on which the experiment fits.
    for range in ["4096", "65536", "1048576"] {
        let fakes = [&CARD[..], &[("FAKE_RANGE", range)]].concat();
        let (code, _, err) = told(machine.run(1, &fakes, &format!("range-{range}"), &["--device", "gpu"]));
        assert!(code == Some(0) || code == Some(2) && err.contains("binding"), "{range}: {err}");
        assert!(!err.contains(" 0 MiB") && !err.contains(" 0.0 MiB"), "{range}: {err}");
    }
}

#[test]
fn devices_that_are_lost_or_full_end_in_one_error() {
    let Some(machine) = Imitation::build() else { return };
    for after in ["1", "2", "5", "12"] {
        let fakes = [&CARD[..], &[("FAKE_LOST_AFTER", after)]].concat();
        let out = format!("lost-{after}");
        let (code, _, err) = told(machine.run(1, &fakes, &out, &["--device", "gpu", "--set", "rounds=9"]));
        assert!(code == Some(1) && err.contains("Imitated Card") && err.contains("lost"), "{after}: {err}");
        // Once the driver works again, the run continues.
        if machine.at(&out).join("plan.toml").exists() {
            let mut command = machine.fedgan(1, &CARD, &["run", "--resume"]);
            command.arg(machine.at(&out));
            assert_eq!(told(command).0, Some(0));
        }
    }
    let fakes = [&CARD[..], &[("FAKE_LOST_AFTER", "12"), ("FAKE_LOST_UNTIL", "13")]].concat();
    let more = ["--device", "gpu", "--retry-device", "3", "--set", "rounds=9"];
    let (code, _, err) = told(machine.run(1, &fakes, "retried", &more));
    assert!(code == Some(0) && err.contains("reopening it"), "{err}");
    for memory in ["1000", "3000000"] {
        let fakes = [&CARD[..], &[("FAKE_MEMORY", memory)]].concat();
        let (code, _, err) = told(machine.run(1, &fakes, "full", &["--device", "gpu"]));
        assert!(code == Some(1) && err.contains("memory"), "{memory}: {err}");
    }
}

/// Mesa and Wayland print nothing if there is no directory for a desktop.
#[test]
fn drivers_are_quiet_without_a_desktop() {
    let Some(machine) = Imitation::build() else { return };
    let desktops: [&[(&str, &str)]; 5] = [
        &[],
        &[("DISPLAY", ":99")],
        &[("DISPLAY", ":99"), ("XDG_RUNTIME_DIR", "")],
        &[("WAYLAND_DISPLAY", "wayland-0"), ("XDG_RUNTIME_DIR", "relative")],
        &[("DISPLAY", ":99"), ("DRI_PRIME", "1")],
    ];
    for desktop in desktops {
        let mut command = machine.fedgan(1, &CARD, &["devices"]);
        for name in ["XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY", "DRI_PRIME", "MESA_VK_DEVICE_SELECT"] {
            command.env_remove(name);
        }
        command.env_remove("WGPU_BACKEND").envs(desktop.iter().copied());
        let (code, _, err) = told(command);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{desktop:?}");
    }
}
