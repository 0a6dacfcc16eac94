//! `--device`: resolves the user's request to an engine and states the reason.

use super::{Adapter, AdapterFacts, AdapterKind, Device, GpuEngine, GpuOptions, enumerate};
use crate::exec::{CpuEngine, Engine, ReferenceEngine};
use crate::{Error, Result};

/// The engine that a request selects.
#[derive(Debug)]
pub enum DeviceTarget {
    /// The naive f64 reference engine.
    Reference,
    /// The built-in f32 CPU engine.
    Cpu,
    /// The GPU engine on this adapter.
    Gpu(Box<Adapter>),
}

/// The result of a request.
#[derive(Debug)]
pub struct Choice {
    /// The selected target.
    pub target: DeviceTarget,
    /// The choice and its reason, for the user.
    pub reason: String,
}

/// The part of the result that needs no driver; `Adapter` is an index.
#[derive(Debug, PartialEq)]
enum Pick {
    Reference,
    Cpu,
    Adapter(usize),
}

/// Resolves `auto`, `gpu`, `gpu:N`, `cpu`, `reference`, or a part of an adapter's name (in any case; a PCI address also
/// works). `auto` takes a hardware GPU with a conformant driver if there is one and the built-in CPU engine otherwise;
/// `gpu` takes the best adapter, including software ones; `gpu:N` takes the one with that number
/// ([`AdapterFacts::number`]).
///
/// # Errors
/// [`Error::Input`] with the list of adapters if none or several match.
pub fn choose(request: &str) -> Result<Choice> {
    let word = request.trim().to_lowercase();
    let mut adapters = if word == "cpu" || word == "reference" { Vec::new() } else { enumerate() };
    let facts: Vec<AdapterFacts> = adapters.iter().map(|a| a.facts.clone()).collect();
    let (pick, reason) = pick(&word, &facts)?;
    let target = match pick {
        Pick::Reference => DeviceTarget::Reference,
        Pick::Cpu => DeviceTarget::Cpu,
        Pick::Adapter(i) => DeviceTarget::Gpu(Box::new(adapters.swap_remove(i))),
    };
    Ok(Choice { target, reason })
}

/// Builds the engine that [`choose`] selects; returns it with the reason. Engines on the same adapter share its device.
///
/// # Errors
/// As [`choose`]; [`Error::Device`] when the adapter cannot be opened (with `auto` the CPU engine is used instead).
pub fn open(request: &str, options: GpuOptions) -> Result<(Box<dyn Engine>, String)> {
    options.check()?;
    let Choice { target, reason } = choose(request)?;
    let adapter = match target {
        DeviceTarget::Reference => return Ok((Box::new(ReferenceEngine::new()), reason)),
        DeviceTarget::Cpu => return Ok((Box::new(CpuEngine::new()), reason)),
        DeviceTarget::Gpu(adapter) => adapter,
    };
    match Device::open_for(&adapter, &options).and_then(|device| GpuEngine::new(device, options)) {
        Ok(engine) => Ok((Box::new(engine), reason)),
        Err(Error::Device(why)) if request.trim().eq_ignore_ascii_case("auto") => {
            let reason = format!("the built-in cpu engine: {} could not be opened: {why}", adapter.facts.title());
            Ok((Box::new(CpuEngine::new()), reason))
        }
        Err(error) => Err(error),
    }
}

/// The request for process `number` of a node: `auto` and `gpu` are spread over the GPUs of the model that they select, in the order of
/// their numbers; all others are the same for every process.
pub fn for_process(request: &str, number: usize) -> String {
    let word = request.trim().to_lowercase();
    match number > 0 && (word == "auto" || word == "gpu") {
        true => {
            let facts: Vec<AdapterFacts> = enumerate().into_iter().map(|adapter| adapter.facts).collect();
            spread(&word, number, &facts)
        }
        false => request.into(),
    }
}

fn spread(word: &str, number: usize, facts: &[AdapterFacts]) -> String {
    let Ok((Pick::Adapter(first), _)) = pick(word, facts) else { return word.into() };
    let like = |f: &&AdapterFacts| {
        let model = |f: &AdapterFacts| (f.kind, f.backend, f.name.clone());
        f.eligible() && f.kind != AdapterKind::Cpu && model(f) == model(&facts[first])
    };
    let numbers: Vec<usize> = facts.iter().filter(like).filter_map(|f| f.number).collect();
    if numbers.is_empty() { word.into() } else { format!("gpu:{}", numbers[number % numbers.len()]) }
}

fn pick(word: &str, facts: &[AdapterFacts]) -> Result<(Pick, String)> {
    match word {
        "" => Err(Error::input(format!("the device name is empty; {}", listing(facts)))),
        "reference" => Ok((Pick::Reference, "the f64 reference engine, as requested".into())),
        "cpu" => Ok((Pick::Cpu, "the built-in cpu engine, as requested".into())),
        "auto" => Ok(pick_auto(facts)),
        "gpu" => match best(facts, |_| true) {
            Some(i) => {
                Ok((Pick::Adapter(i), format!("{}: the best adapter here{}", facts[i].title(), passed_over(facts))))
            }
            None => Err(Error::input(format!("no GPU adapter can be used{}; {}", passed_over(facts), listing(facts)))),
        },
        name => match name.strip_prefix("gpu:") {
            Some(number) => pick_numbered(name, number.trim(), facts),
            None => pick_named(name, facts),
        },
    }
}

fn pick_auto(facts: &[AdapterFacts]) -> (Pick, String) {
    if let Some(i) = best(facts, |f| f.kind <= AdapterKind::VirtualGpu && f.conformant) {
        return (Pick::Adapter(i), format!("{}: the best GPU here", facts[i].title()));
    }
    let titles = |wanted: &dyn Fn(&AdapterFacts) -> bool| -> Vec<String> {
        facts.iter().filter(|f| f.eligible() && wanted(f)).map(AdapterFacts::title).collect()
    };
    let (tried, others) = (titles(&|f| !f.conformant && f.kind != AdapterKind::Cpu), titles(&|_| true));
    let why = if !tried.is_empty() {
        format!("{} is used on request only (--device gpu): its driver is not conformant", tried.join(", "))
    } else if others.is_empty() {
        "no usable GPU adapter was found".to_string()
    } else {
        format!("no hardware GPU was found, only {}", others.join(", "))
    };
    (Pick::Cpu, format!("the built-in cpu engine: {why}{}", passed_over(facts)))
}

/// Hardware on which the kernels cannot run, for the end of a reason.
fn passed_over(facts: &[AdapterFacts]) -> String {
    let hardware = facts.iter().filter(|f| f.kind != AdapterKind::Cpu && !f.duplicate);
    let why =
        |f: &AdapterFacts| f.unusable.as_ref().map(|why| format!("; {} cannot run the kernels: {why}", f.title()));
    hardware.filter_map(why).collect()
}

/// `gpu:N`; `request` is all of it.
fn pick_numbered(request: &str, number: &str, facts: &[AdapterFacts]) -> Result<(Pick, String)> {
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let wanted: Option<usize> = number.parse().ok().filter(|_| digits);
    let found = wanted.and_then(|n| facts.iter().position(|f| f.number == Some(n)));
    match (found, digits) {
        (Some(i), _) => Ok((Pick::Adapter(i), format!("{}: as requested", facts[i].title()))),
        (None, true) => Err(Error::input(format!(
            "device `{request}`: no adapter has this number{}; {}",
            passed_over(facts),
            listing(facts)
        ))),
        (None, false) => {
            let what = "gpu: is followed by an adapter's number, as in gpu:0";
            Err(Error::input(format!("device `{request}`: {what}; {}", listing(facts))))
        }
    }
}

fn pick_named(name: &str, facts: &[AdapterFacts]) -> Result<(Pick, String)> {
    let matches = |f: &AdapterFacts| f.name.to_lowercase().contains(name) || f.pci.eq_ignore_ascii_case(name);
    let found: Vec<usize> = (0..facts.len()).filter(|i| !facts[*i].duplicate && matches(&facts[*i])).collect();
    let usable: Vec<usize> = found.iter().copied().filter(|i| facts[*i].eligible()).collect();
    match (&usable[..], &found[..]) {
        ([i], _) => Ok((Pick::Adapter(*i), format!("{}: matches `{name}`", facts[*i].title()))),
        ([], [i, ..]) => {
            let why = facts[*i].unusable.as_deref().unwrap_or("unknown reason");
            Err(Error::input(format!("device `{name}`: {} cannot run the kernels: {why}", facts[*i].title())))
        }
        ([], []) => Err(Error::input(format!("no device matches `{name}`; {}", listing(facts)))),
        (several, _) => {
            let titles: Vec<String> = several.iter().map(|i| facts[*i].title()).collect();
            let hint = "use the number (gpu:N), a longer part of the name or the PCI address";
            Err(Error::input(format!("several devices match `{name}`: {}; {hint}", titles.join(", "))))
        }
    }
}

/// The best eligible adapter: hardware first, then conformant drivers, then by kind, backend and the drivers' order.
fn best(facts: &[AdapterFacts], allowed: impl Fn(&AdapterFacts) -> bool) -> Option<usize> {
    (0..facts.len()).filter(|i| facts[*i].eligible() && allowed(&facts[*i])).min_by_key(|i| {
        let f = &facts[*i];
        (f.kind == AdapterKind::Cpu, !f.conformant, f.kind, f.backend, *i)
    })
}

fn listing(facts: &[AdapterFacts]) -> String {
    let adapters: Vec<String> = facts.iter().filter(|f| f.eligible()).map(AdapterFacts::title).collect();
    let adapters = if adapters.is_empty() { "none".to_string() } else { adapters.join(", ") };
    format!("adapters here: {adapters}; always available: auto, gpu, cpu, reference")
}

#[cfg(test)]
mod tests {
    use super::super::Backend;
    use super::super::adapter::tests::{facts, numbered};
    use super::*;

    fn machine() -> Vec<AdapterFacts> {
        let mut gl = facts("llvmpipe (LLVM 15)", AdapterKind::Cpu, Backend::Gl, "");
        gl.duplicate = true;
        numbered(vec![
            gl,
            facts("llvmpipe (LLVM 15)", AdapterKind::Cpu, Backend::Vulkan, ""),
            facts("Intel(R) UHD Graphics 620", AdapterKind::IntegratedGpu, Backend::Vulkan, "0000:00:02.0"),
            facts("NVIDIA H100", AdapterKind::DiscreteGpu, Backend::Vulkan, "0000:01:00.0"),
            facts("NVIDIA H100", AdapterKind::DiscreteGpu, Backend::Vulkan, "0000:02:00.0"),
        ])
    }

    fn picked(word: &str, facts: &[AdapterFacts]) -> Pick {
        pick(word, facts).unwrap().0
    }

    #[test]
    fn keywords_and_names() {
        let all = machine();
        assert_eq!(picked("auto", &all), Pick::Adapter(3));
        assert_eq!(picked("auto", &all[..3]), Pick::Adapter(2));
        assert_eq!(picked("gpu", &all[..2]), Pick::Adapter(1));
        assert_eq!(picked("llvmpipe", &all), Pick::Adapter(1));
        assert_eq!(picked("uhd", &all), Pick::Adapter(2));
        assert_eq!(picked("0000:02:00.0", &all), Pick::Adapter(4));
        assert_eq!(picked("cpu", &all), Pick::Cpu);
        assert_eq!(picked("reference", &all), Pick::Reference);
    }

    #[test]
    fn numbers_are_those_of_the_list() {
        let all = machine();
        let expected = [
            ("gpu:0", Pick::Adapter(1)),
            ("gpu:1", Pick::Adapter(2)),
            ("gpu:2", Pick::Adapter(3)),
            ("gpu:3", Pick::Adapter(4)),
            ("gpu: 3", Pick::Adapter(4)),
            ("gpu:03", Pick::Adapter(4)),
        ];
        for (word, pick) in expected {
            assert_eq!(picked(word, &all), pick, "{word}");
        }
        let refused =
            ["gpu:", "gpu:4", "gpu:-1", "gpu:+1", "gpu:1.0", "gpu:x", "gpu:99999999999999999999", "gpu:1 2", "gpu::1"];
        for word in refused {
            let error = pick(word, &all).unwrap_err();
            let text = error.to_string();
            assert!(error.exit_code() == 2 && text.contains(&format!("`{word}`")), "{text}");
            for part in ["gpu:0", "gpu:3, DiscreteGpu, Vulkan, PCI 0000:02:00.0", "llvmpipe", "reference"] {
                assert!(text.contains(part), "{word}: {part} is not in: {text}");
            }
        }
        assert!(pick("gpu:0", &[]).unwrap_err().to_string().contains("adapters here: none"));
        assert!(pick("cpu:0", &all).unwrap_err().to_string().contains("no device matches `cpu:0`"));
    }

    #[test]
    fn processes_of_a_node_are_spread_over_equal_gpus() {
        let all = machine();
        let asked = |n: usize| spread("auto", n, &all);
        assert_eq!([1, 2, 3].map(asked), ["gpu:3", "gpu:2", "gpu:3"], "two cards, of which `auto` is the first");
        assert_eq!(spread("gpu", 1, &all[..3]), "gpu:1", "a single card is shared");
        assert_eq!([spread("auto", 1, &all[..2]), spread("gpu", 1, &all[..2])], ["auto", "gpu"]);
        assert_eq!(spread("gpu", 5, &[]), "gpu");
        assert_eq!([for_process("cpu", 3), for_process("gpu:7", 3), for_process("auto", 0)], ["cpu", "gpu:7", "auto"]);
    }

    #[test]
    fn a_non_conformant_driver_is_used_on_request_only() {
        let mut dzn = facts("Microsoft Direct3D12 (NVIDIA RTX)", AdapterKind::DiscreteGpu, Backend::Vulkan, "");
        dzn.conformant = false;
        let llvmpipe = facts("llvmpipe (LLVM 15)", AdapterKind::Cpu, Backend::Vulkan, "");
        let wsl = numbered(vec![llvmpipe, dzn.clone()]);
        let (auto, why) = pick("auto", &wsl).unwrap();
        assert_eq!(auto, Pick::Cpu);
        assert!(
            why.contains("Microsoft Direct3D12") && why.contains("--device gpu") && why.contains("not conformant"),
            "{why}"
        );
        for asked in ["gpu", "gpu:1", "direct3d12"] {
            assert_eq!(picked(asked, &wsl), Pick::Adapter(1), "{asked}");
        }
        let both = numbered(vec![dzn, facts("Intel Arc", AdapterKind::IntegratedGpu, Backend::Vulkan, "")]);
        assert_eq!((picked("auto", &both), picked("gpu", &both)), (Pick::Adapter(1), Pick::Adapter(1)));
    }

    #[test]
    fn unusable_hardware_is_named() {
        let mut weak = facts("Old Card", AdapterKind::DiscreteGpu, Backend::Vulkan, "");
        weak.unusable = Some("128 threads per workgroup, 256 needed".into());
        let all = numbered(vec![weak, facts("llvmpipe", AdapterKind::Cpu, Backend::Vulkan, "")]);
        for word in ["auto", "gpu"] {
            let why = pick(word, &all).unwrap().1;
            assert!(why.contains("Old Card") && why.contains("128 threads per workgroup"), "{why}");
        }
        assert!(pick("gpu", &all[..1]).unwrap_err().to_string().contains("128 threads"));
    }

    /// RADV_FORCE_FAMILY replaces the card by a discrete GPU that executes nothing, listed before all others.
    #[test]
    fn a_null_device_is_never_chosen() {
        let mut null = facts("Null hardware (RADV NAVI21)", AdapterKind::DiscreteGpu, Backend::Vulkan, "");
        null.unusable = Some("a null device".into());
        let all = numbered(vec![
            null,
            facts("Intel(R) UHD Graphics 620", AdapterKind::IntegratedGpu, Backend::Vulkan, "0000:00:02.0"),
            facts("llvmpipe", AdapterKind::Cpu, Backend::Vulkan, ""),
        ]);
        for word in ["auto", "gpu", "gpu:0"] {
            assert_eq!(picked(word, &all), Pick::Adapter(1), "{word}");
        }
        assert_eq!(picked("auto", &all[..1]), Pick::Cpu);
        for word in ["navi21", "null hardware"] {
            let error = pick(word, &all).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains("a null device"), "{error}");
        }
    }

    #[test]
    fn auto_without_hardware_is_the_cpu_engine_and_says_why() {
        let (pick_software, why) = pick("auto", &machine()[..2]).unwrap();
        assert_eq!(pick_software, Pick::Cpu);
        assert!(why.contains("only llvmpipe (LLVM 15) (gpu:0, Cpu, Vulkan)"), "{why}");
        let (pick_nothing, why) = pick("auto", &[]).unwrap();
        assert_eq!(pick_nothing, Pick::Cpu);
        assert!(why.contains("no usable GPU adapter"), "{why}");
    }

    #[test]
    fn refusals_are_input_errors_with_the_list() {
        let all = machine();
        let refused = |word: &str, facts: &[AdapterFacts]| {
            let error = pick(word, facts).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        let several = refused("h100", &all);
        assert!(several.contains("PCI 0000:01:00.0") && several.contains("PCI 0000:02:00.0"), "{several}");
        let none = refused("voodoo", &all);
        assert!(none.contains("`voodoo`") && none.contains("UHD") && none.contains("reference"), "{none}");
        assert!(refused("gpu", &[]).contains("adapters here: none"));
        assert!(refused("", &all).contains("empty"));
        let mut weak = facts("Old Card", AdapterKind::DiscreteGpu, Backend::Gl, "");
        weak.unusable = Some("no compute shaders".into());
        assert!(refused("old", &[weak]).contains("no compute shaders"));
    }

    #[test]
    fn a_name_that_matches_nothing_is_refused_on_this_machine() {
        let error = open("no such adapter", GpuOptions::default()).err().expect("nothing has that name");
        assert!(matches!(error, Error::Input(_)), "{error}");
        assert!(error.to_string().contains("no such adapter"));
    }
}
