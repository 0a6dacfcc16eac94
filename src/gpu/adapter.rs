//! Adapters, as plain facts.

use crate::kernels::Class;
use serde::Serialize;
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::OnceLock;

/// What kind of device an adapter is, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Kind {
    /// A card with memory of its own.
    DiscreteGpu,
    /// A GPU that shares the host's memory.
    IntegratedGpu,
    /// A GPU lent by a hypervisor.
    VirtualGpu,
    /// The driver does not say.
    Other,
    /// A software rasteriser: lavapipe, WARP, SwiftShader.
    Cpu,
}

/// The API through which an adapter is reached, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Backend {
    /// Vulkan.
    Vulkan,
    /// Metal.
    Metal,
    /// Direct3D 12.
    Dx12,
    /// OpenGL or OpenGL ES.
    Gl,
    /// Anything else.
    Other,
}

/// The features listed by `fedgan devices`. No kernel needs any of them today; timing uses timestamps where it can.
const FEATURES: [(&str, wgpu::Features); 8] = [
    ("timestamp_query", wgpu::Features::TIMESTAMP_QUERY),
    ("timestamp_query_inside_passes", wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES),
    ("subgroup", wgpu::Features::SUBGROUP),
    ("shader_f16", wgpu::Features::SHADER_F16),
    ("shader_float32_atomic", wgpu::Features::SHADER_FLOAT32_ATOMIC),
    ("immediates", wgpu::Features::IMMEDIATES),
    ("pipeline_cache", wgpu::Features::PIPELINE_CACHE),
    ("cooperative_matrix", wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
];

/// An adapter as the program sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdapterFacts {
    /// The driver's name for the adapter.
    pub name: String,
    /// Discrete, integrated, virtual, software.
    pub kind: Kind,
    /// The API.
    pub backend: Backend,
    /// Driver name and version.
    pub driver: String,
    /// PCI address, or empty.
    pub pci: String,
    /// Vendor id, 0 if unknown.
    pub vendor: u32,
    /// Device id, 0 if unknown.
    pub device: u32,
    /// Smallest and largest subgroup.
    pub subgroup: [u32; 2],
    /// Optional features that matter: available or not.
    pub features: BTreeMap<&'static str, bool>,
    /// Limits that matter, by their WebGPU names; sizes in bytes.
    pub limits: BTreeMap<&'static str, u64>,
    /// The shader variants that this adapter gets by default: `tiled` or `direct`.
    pub variant: &'static str,
    /// Why the kernels cannot run here, or `None`.
    pub unusable: Option<String>,
    /// True when the same device is listed under a preferred backend: it is then never chosen.
    pub duplicate: bool,
    /// False where the driver has not passed Vulkan's conformance tests and says so, as WSL2's driver of Mesa does (Vulkan on
    /// Direct3D 12): it is taken only when asked for.
    pub conformant: bool,
    /// Its number among the adapters that may be chosen, N of `gpu:N`.
    pub number: Option<usize>,
}

impl AdapterFacts {
    /// The facts of an adapter, apart from those that other adapters decide.
    pub(super) fn new(adapter: &wgpu::Adapter, conformant: bool) -> Self {
        let info = adapter.get_info();
        let limits = adapter.limits();
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => Kind::DiscreteGpu,
            wgpu::DeviceType::IntegratedGpu => Kind::IntegratedGpu,
            wgpu::DeviceType::VirtualGpu => Kind::VirtualGpu,
            wgpu::DeviceType::Other => Kind::Other,
            wgpu::DeviceType::Cpu => Kind::Cpu,
        };
        let backend = match info.backend {
            wgpu::Backend::Vulkan => Backend::Vulkan,
            wgpu::Backend::Metal => Backend::Metal,
            wgpu::Backend::Dx12 => Backend::Dx12,
            wgpu::Backend::Gl => Backend::Gl,
            _ => Backend::Other,
        };
        let compute = adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS);
        let driver =
            [info.driver, info.driver_info].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" ");
        AdapterFacts {
            name: info.name,
            kind,
            backend,
            driver: if driver.is_empty() { "-".into() } else { driver },
            pci: info.device_pci_bus_id,
            vendor: info.vendor,
            device: info.device,
            subgroup: [info.subgroup_min_size, info.subgroup_max_size],
            features: FEATURES.iter().map(|(name, bit)| (*name, adapter.features().contains(*bit))).collect(),
            unusable: unusable(compute, &limits),
            limits: listed(&limits),
            variant: default_class(kind).name(),
            duplicate: false,
            conformant,
            number: None,
        }
    }

    /// The shader variants that this adapter gets by default.
    pub fn class(&self) -> Class {
        default_class(self.kind)
    }

    /// True when shaders keep naga's run-time checks by default: on software adapters, where a stray index would reach
    /// this process's memory. Hardware runs without, as clamped indices cost up to 1.6 times; launches are
    /// checked against the rows' extents when they are recorded, and tests hold both forms to the same bits.
    pub fn checked(&self) -> bool {
        self.kind == Kind::Cpu
    }

    /// True when marked loops of shaders are expanded: everywhere but on SwiftShader, whose compiler, Subzero, did not get through
    /// one tiled convolution with its register tile expanded in five minutes and 12 GB.
    pub fn expands(&self) -> bool {
        !self.name.starts_with("SwiftShader")
    }

    /// True when the adapter may be chosen.
    pub fn eligible(&self) -> bool {
        !self.duplicate && self.unusable.is_none()
    }

    /// One line for the user: name, number, kind, backend.
    pub fn title(&self) -> String {
        let number = self.number.map_or(String::new(), |n| format!("gpu:{n}, "));
        let pci = if self.pci.is_empty() { String::new() } else { format!(", PCI {}", self.pci) };
        let note = if self.conformant { "" } else { ", not conformant" };
        format!("{} ({number}{:?}, {:?}{pci}{note})", self.name, self.kind, self.backend)
    }

    /// [`crate::exec::Descriptor::address`].
    pub fn address(&self) -> String {
        match self.number {
            _ if !self.pci.is_empty() => self.pci.clone(),
            Some(n) if self.kind != Kind::Cpu => format!("gpu:{n}"),
            _ => String::new(),
        }
    }

    /// True when `self` and `other` are one physical device under two APIs, or one software adapter listed twice.
    fn same_device(&self, other: &AdapterFacts) -> bool {
        if !self.pci.is_empty() && !other.pci.is_empty() {
            return self.pci == other.pci && self.backend != other.backend;
        }
        if self.backend == other.backend {
            return self.kind == Kind::Cpu && self.name == other.name && self.driver == other.driver;
        }
        let (a, b) = (stem(&self.name), stem(&other.name));
        !a.is_empty() && !b.is_empty() && (a.contains(&b) || b.contains(&a))
    }
}

fn default_class(kind: Kind) -> Class {
    if kind == Kind::Cpu { Class::Direct } else { Class::Tiled }
}

/// A name without what drivers append: "AMD Radeon RX 6700 XT (RADV NAVI22)" and "... (radeonsi, ...)" are one card.
fn stem(name: &str) -> String {
    name.split(" (").next().unwrap_or(name).trim().to_lowercase()
}

/// Tensors begin at multiples of this many bytes, which WebGPU grants.
const MOST_ALIGNMENT: u32 = 256;

/// The portable contract of the kernels (shaders/README.md): what every adapter must offer.
fn unusable(compute: bool, limits: &wgpu::Limits) -> Option<String> {
    let needs = [
        ("storage buffers a stage", limits.max_storage_buffers_per_shader_stage, 7),
        ("threads a workgroup", limits.max_compute_invocations_per_workgroup, 256),
        ("threads along x", limits.max_compute_workgroup_size_x, 256),
        ("bytes of workgroup memory", limits.max_compute_workgroup_storage_size, 16384),
        ("workgroups a dimension", limits.max_compute_workgroups_per_dimension, 65535),
    ];
    if !compute {
        return Some("no compute shaders".into());
    }
    let alignment = limits.min_storage_buffer_offset_alignment;
    if alignment > MOST_ALIGNMENT {
        return Some(format!(
            "operands must be aligned to {alignment} bytes, to {MOST_ALIGNMENT} at most is supported"
        ));
    }
    needs.iter().find(|n| n.1 < n.2).map(|(what, has, need)| format!("{has} {what}, {need} needed"))
}

fn listed(limits: &wgpu::Limits) -> BTreeMap<&'static str, u64> {
    BTreeMap::from([
        ("max_buffer_size", limits.max_buffer_size),
        ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size),
        ("max_storage_buffers_per_shader_stage", limits.max_storage_buffers_per_shader_stage.into()),
        ("max_compute_workgroup_storage_size", limits.max_compute_workgroup_storage_size.into()),
        ("max_compute_invocations_per_workgroup", limits.max_compute_invocations_per_workgroup.into()),
        ("max_compute_workgroups_per_dimension", limits.max_compute_workgroups_per_dimension.into()),
        ("min_storage_buffer_offset_alignment", limits.min_storage_buffer_offset_alignment.into()),
    ])
}

/// Marks every entry whose device another eligible entry offers under a preferred backend (or earlier in the list).
fn mark_duplicates(facts: &mut [AdapterFacts]) {
    for i in 0..facts.len() {
        facts[i].duplicate = (0..facts.len()).any(|j| {
            let preferred = (facts[j].backend, j) < (facts[i].backend, i);
            preferred && facts[j].unusable.is_none() && facts[i].same_device(&facts[j])
        });
    }
}

/// An adapter that can be opened.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// What is known about it.
    pub facts: AdapterFacts,
    pub(super) handle: wgpu::Adapter,
}

/// Per cent of the memory that the driver grants this process (on Vulkan and DX12, where it says) from which on no buffer is
/// created: it fails as out of memory, instead of succeeding and being paged in and out, or taking the device down.
const BUDGET: u8 = 95;

/// Numbers the entries that may be chosen, in their order.
fn number(facts: &mut [AdapterFacts]) {
    for (n, entry) in facts.iter_mut().filter(|f| f.eligible()).enumerate() {
        entry.number = Some(n);
    }
}

/// Which of `all` are among the `strict` ones, each of which accounts for one.
fn accounted<T: PartialEq>(all: &[T], mut strict: Vec<T>) -> Vec<bool> {
    let found = |item: &T| strict.iter().position(|s| s == item).map(|i| strict.swap_remove(i)).is_some();
    all.iter().map(found).collect()
}

/// [`list`], each with whether its driver is conformant: wgpu does not say, but hides the others unless told not to.
fn judged(backends: wgpu::Backends) -> Vec<(wgpu::Adapter, bool)> {
    let all = list(backends);
    let vulkan = |adapter: &wgpu::Adapter| adapter.get_info().backend == wgpu::Backend::Vulkan;
    if !all.iter().any(vulkan) {
        return all.into_iter().map(|adapter| (adapter, true)).collect();
    }
    // Everything that the driver says of an adapter.
    let identity = |adapter: &wgpu::Adapter| format!("{:?}", adapter.get_info());
    let strict = ask(backends, None, false).iter().map(identity).collect();
    let conformant = accounted(&all.iter().map(identity).collect::<Vec<_>>(), strict);
    all.into_iter().zip(conformant).collect()
}

/// The adapters that `backends` list. Software ones have no [`BUDGET`]: theirs is the host's memory, what others use of it
/// included, and lavapipe's count of it cannot be relied on.
fn list(backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
    let software = |adapter: &wgpu::Adapter| adapter.get_info().device_type == wgpu::DeviceType::Cpu;
    let mut adapters = ask(backends, Some(BUDGET), true);
    if adapters.iter().any(software) {
        adapters.retain(|adapter| !software(adapter));
        adapters.extend(ask(backends, None, true).into_iter().filter(software));
    }
    adapters
}

/// The adapters of a new instance, those of drivers that are not conformant among them where `all` are asked for. A driver that
/// panics while it is asked counts as no driver.
fn ask(backends: wgpu::Backends, budget: Option<u8>, all: bool) -> Vec<wgpu::Adapter> {
    let backends = backends & wgpu::Instance::enabled_backend_features();
    if backends.is_empty() {
        return Vec::new();
    }
    let ask = || {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        // No driver debug layers in debug builds either: they print, and they slow shaders down.
        descriptor.flags = wgpu::InstanceFlags::empty().with_env();
        descriptor.flags.set(wgpu::InstanceFlags::ALLOW_UNDERLYING_NONCOMPLIANT_ADAPTER, all);
        descriptor.backends &= backends;
        descriptor.memory_budget_thresholds.for_resource_creation = budget;
        pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends))
    };
    catch_unwind(ask).unwrap_or_default()
}

/// Every adapter on this machine, GL last; an empty list where there is no driver at all.
///
/// Drivers are asked once a process: it takes time, and GL contexts do not bear being made and dropped on several threads.
pub fn enumerate() -> Vec<Adapter> {
    static ADAPTERS: OnceLock<Vec<Adapter>> = OnceLock::new();
    let ask = || {
        let mut handles = judged(wgpu::Backends::PRIMARY);
        handles.extend(judged(wgpu::Backends::GL));
        let mut facts: Vec<AdapterFacts> =
            handles.iter().map(|(h, conformant)| AdapterFacts::new(h, *conformant)).collect();
        mark_duplicates(&mut facts);
        number(&mut facts);
        handles.into_iter().zip(facts).map(|((handle, _), facts)| Adapter { facts, handle }).collect()
    };
    ADAPTERS.get_or_init(ask).clone()
}

/// Keeps Mesa's Vulkan device-selection layer from printing "XDG_RUNTIME_DIR is invalid" where there is no such directory: on
/// machines without a desktop, over `ssh -X`, under sudo and in containers. It only sorts devices by preference, which
/// [`super::choose`] does itself; where the user steers it, it stays and is told of a directory without a compositor.
///
/// # Safety
/// Call before any thread is started: it sets an environment variable.
pub unsafe fn quiet_drivers() {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    // The layer's Wayland library prints where the variable is missing or no absolute path.
    if set("XDG_RUNTIME_DIR").is_some_and(|path| std::path::Path::new(&path).is_absolute()) {
        return;
    }
    let steered = ["DRI_PRIME", "MESA_VK_DEVICE_SELECT"].iter().any(|name| set(name).is_some());
    let (name, value) = if steered { ("XDG_RUNTIME_DIR", "/nonexistent") } else { ("NODEVICE_SELECT", "1") };
    // SAFETY: the caller promises that no other thread runs that could read the environment meanwhile.
    unsafe { std::env::set_var(name, value) };
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::gpu) fn facts(name: &str, kind: Kind, backend: Backend, pci: &str) -> AdapterFacts {
        AdapterFacts {
            name: name.into(),
            kind,
            backend,
            driver: "d".into(),
            pci: pci.into(),
            vendor: 0,
            device: 0,
            subgroup: [32, 32],
            features: BTreeMap::new(),
            limits: BTreeMap::new(),
            variant: default_class(kind).name(),
            unusable: None,
            duplicate: false,
            conformant: true,
            number: None,
        }
    }

    fn duplicates(mut list: Vec<AdapterFacts>) -> Vec<bool> {
        mark_duplicates(&mut list);
        list.iter().map(|f| f.duplicate).collect()
    }

    pub(in crate::gpu) fn numbered(mut list: Vec<AdapterFacts>) -> Vec<AdapterFacts> {
        number(&mut list);
        list
    }

    #[test]
    fn an_adapter_that_wgpu_would_hide_is_not_conformant() {
        assert_eq!(accounted(&["dzn a", "nvidia", "dzn b"], vec!["nvidia"]), [false, true, false]);
        assert_eq!(accounted(&["twin", "twin", "dzn"], vec!["twin", "twin"]), [true, true, false]);
        assert_eq!(accounted(&["twin", "twin"], vec!["twin"]), [true, false]);
        assert_eq!(accounted(&["a"], vec![]), [false]);
    }

    #[test]
    fn equals_are_told_apart_by_number_and_address() {
        let card = |pci| facts("NVIDIA H100", Kind::DiscreteGpu, Backend::Vulkan, pci);
        let mut weak = card("");
        weak.unusable = Some("no compute shaders".into());
        let mut dzn = facts("Microsoft Direct3D12 (NVIDIA RTX)", Kind::DiscreteGpu, Backend::Vulkan, "");
        dzn.conformant = false;
        let software = facts("llvmpipe", Kind::Cpu, Backend::Vulkan, "");
        let all = numbered(vec![card("0000:01:00.0"), weak, card("0000:02:00.0"), card(""), dzn, software]);
        let numbers: Vec<_> = all.iter().map(|f| f.number).collect();
        assert_eq!(numbers, [Some(0), None, Some(1), Some(2), Some(3), Some(4)], "what cannot be chosen has no number");
        let addresses: Vec<_> = all.iter().map(AdapterFacts::address).collect();
        assert_eq!(addresses, ["0000:01:00.0", "", "0000:02:00.0", "gpu:2", "gpu:3", ""]);
        assert_eq!(all[2].title(), "NVIDIA H100 (gpu:1, DiscreteGpu, Vulkan, PCI 0000:02:00.0)");
        assert!(all[4].title().ends_with("(gpu:3, DiscreteGpu, Vulkan, not conformant)"), "{}", all[4].title());
    }

    #[test]
    fn one_device_under_two_backends_counts_once() {
        let list = vec![
            facts("NVIDIA GeForce RTX 3080/PCIe/SSE2", Kind::Other, Backend::Gl, ""),
            facts("AMD Radeon RX 6700 XT (radeonsi, navi22, LLVM 15)", Kind::Other, Backend::Gl, ""),
            facts("NVIDIA GeForce RTX 3080", Kind::DiscreteGpu, Backend::Vulkan, "0000:01:00.0"),
            facts("AMD Radeon RX 6700 XT (RADV NAVI22)", Kind::DiscreteGpu, Backend::Vulkan, "0000:02:00.0"),
            facts("llvmpipe (LLVM 15)", Kind::Cpu, Backend::Vulkan, ""),
            facts("llvmpipe (LLVM 15)", Kind::Cpu, Backend::Vulkan, ""),
            facts("llvmpipe (LLVM 15)", Kind::Cpu, Backend::Gl, ""),
        ];
        assert_eq!(duplicates(list), [true, true, false, false, false, true, true]);
    }

    #[test]
    fn twin_cards_stay_two_and_an_unusable_entry_hides_nothing() {
        let twin = |pci| facts("NVIDIA H100", Kind::DiscreteGpu, Backend::Vulkan, pci);
        assert_eq!(duplicates(vec![twin("0000:01:00.0"), twin("0000:02:00.0")]), [false, false]);
        let mut broken = twin("");
        broken.unusable = Some("no compute shaders".into());
        let gl = facts("NVIDIA H100/PCIe/SSE2", Kind::Other, Backend::Gl, "");
        assert_eq!(duplicates(vec![broken, gl]), [false, false]);
    }
}
