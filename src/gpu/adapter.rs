//! Properties of adapters.

use crate::kernels::Class;
use serde::Serialize;
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::OnceLock;

/// The kind of an adapter's device, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum AdapterKind {
    /// A card with its own memory.
    DiscreteGpu,
    /// A GPU that shares the host's memory.
    IntegratedGpu,
    /// A GPU passed through by a hypervisor.
    VirtualGpu,
    /// The driver does not report the kind.
    Other,
    /// A software rasteriser: lavapipe, WARP, SwiftShader.
    Cpu,
}

/// The API that gives access to the adapter, best first.
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

/// What the shaders of [`Class::Lanes`] need.
pub(super) const LANES: wgpu::Features = wgpu::Features::SUBGROUP.union(wgpu::Features::SHADER_INT64);

/// The features listed by `fedgan devices`. Only [`Class::Lanes`] needs some of them ([`LANES`]); timing uses timestamps where
/// available.
const FEATURES: [(&str, wgpu::Features); 9] = [
    ("timestamp_query", wgpu::Features::TIMESTAMP_QUERY),
    ("timestamp_query_inside_passes", wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES),
    ("subgroup", wgpu::Features::SUBGROUP),
    ("shader_int64", wgpu::Features::SHADER_INT64),
    ("shader_f16", wgpu::Features::SHADER_F16),
    ("shader_float32_atomic", wgpu::Features::SHADER_FLOAT32_ATOMIC),
    ("immediates", wgpu::Features::IMMEDIATES),
    ("pipeline_cache", wgpu::Features::PIPELINE_CACHE),
    ("cooperative_matrix", wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
];

/// The properties of an adapter that the program uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdapterFacts {
    /// The driver's name for the adapter.
    pub name: String,
    /// Discrete, integrated, virtual, software.
    pub kind: AdapterKind,
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
    /// Optional features of interest: available or not.
    pub features: BTreeMap<&'static str, bool>,
    /// Limits of interest, by their WebGPU names; sizes in bytes.
    pub limits: BTreeMap<&'static str, u64>,
    /// The default shader variants on this adapter: `tiled`, `direct` or `lanes`.
    pub variant: &'static str,
    /// Why the kernels cannot run on it, or `None`.
    pub unusable: Option<String>,
    /// True when the same device is also listed under a preferred backend; such an entry is never chosen.
    pub duplicate: bool,
    /// False if the driver reports that it has not passed Vulkan's conformance tests, as Mesa's driver for WSL2 does
    /// (Vulkan on Direct3D 12). Such an adapter is used on request only.
    pub conformant: bool,
    /// Its number among the eligible adapters, the N of `gpu:N`.
    pub number: Option<usize>,
}

impl AdapterFacts {
    /// The properties of an adapter, except those that depend on the other adapters.
    pub(super) fn new(adapter: &wgpu::Adapter, conformant: bool) -> Self {
        let info = adapter.get_info();
        let limits = adapter.limits();
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => AdapterKind::DiscreteGpu,
            wgpu::DeviceType::IntegratedGpu => AdapterKind::IntegratedGpu,
            wgpu::DeviceType::VirtualGpu => AdapterKind::VirtualGpu,
            wgpu::DeviceType::Other => AdapterKind::Other,
            wgpu::DeviceType::Cpu => AdapterKind::Cpu,
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
            unusable: unusable(&info.name, compute, &limits),
            name: info.name,
            kind,
            backend,
            driver: if driver.is_empty() { "-".into() } else { driver },
            pci: info.device_pci_bus_id,
            vendor: info.vendor,
            device: info.device,
            subgroup: [info.subgroup_min_size, info.subgroup_max_size],
            features: FEATURES.iter().map(|(name, bit)| (*name, adapter.features().contains(*bit))).collect(),
            limits: listed(&limits),
            variant: "",
            duplicate: false,
            conformant,
            number: None,
        }
        .with_variant()
    }

    fn with_variant(mut self) -> Self {
        self.variant = self.class().name();
        self
    }

    /// The default shader variants on this adapter.
    pub fn class(&self) -> Class {
        match self.kind {
            AdapterKind::Cpu if self.runs(Class::Lanes) => Class::Lanes,
            AdapterKind::Cpu => Class::Direct,
            _ => Class::Tiled,
        }
    }

    /// True if the adapter can run the shaders of `class`. Those of [`Class::Lanes`] are written for subgroups of exactly 8
    /// invocations, the vector register of lavapipe's processor, and are not used on hardware.
    pub fn runs(&self, class: Class) -> bool {
        let has = |feature| self.features.get(feature).copied().unwrap_or(false);
        let lanes = self.kind == AdapterKind::Cpu && self.backend == Backend::Vulkan && self.subgroup == [8, 8];
        class != Class::Lanes || lanes && has("subgroup") && has("shader_int64")
    }

    /// True when shaders keep naga's run-time checks by default: on software adapters, where an index out of bounds
    /// would reach this process's memory. Hardware runs without, because clamped indices cost up to a factor of 1.6.
    /// Launches are checked against the rows' extents when they are recorded, and tests require both forms to give
    /// equal bits.
    pub fn checked(&self) -> bool {
        self.kind == AdapterKind::Cpu
    }

    /// True when marked loops of shaders are unrolled: on all adapters except SwiftShader. Its compiler, Subzero, did
    /// not finish one tiled convolution with an unrolled register tile in five minutes and 12 GB.
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
            Some(n) if self.kind != AdapterKind::Cpu => format!("gpu:{n}"),
            _ => String::new(),
        }
    }

    /// True when `self` and `other` are the same physical device under two APIs, or a software adapter listed twice.
    fn same_device(&self, other: &AdapterFacts) -> bool {
        if !self.pci.is_empty() && !other.pci.is_empty() {
            return self.pci == other.pci && self.backend != other.backend;
        }
        if self.backend == other.backend {
            return self.kind == AdapterKind::Cpu && self.name == other.name && self.driver == other.driver;
        }
        let (a, b) = (stem(&self.name), stem(&other.name));
        !a.is_empty() && !b.is_empty() && (a.contains(&b) || b.contains(&a))
    }
}

/// A name without the driver's suffix: "AMD Radeon RX 6700 XT (RADV NAVI22)" and "... (radeonsi, ...)" are the same
/// card.
fn stem(name: &str) -> String {
    name.split(" (").next().unwrap_or(name).trim().to_lowercase()
}

/// Tensors start at multiples of this many bytes, the largest alignment that WebGPU allows.
const MOST_ALIGNMENT: u32 = 256;

/// How Mesa names a device without hardware, which compiles shaders for a GPU that is not there and executes nothing.
const NULL_DEVICE: &str = "Null hardware";

/// The portable contract of the kernels (shaders/README.md): the minimum that every adapter must provide.
fn unusable(name: &str, compute: bool, limits: &wgpu::Limits) -> Option<String> {
    let needs = [
        ("storage buffers per stage", limits.max_storage_buffers_per_shader_stage, 7),
        ("threads per workgroup", limits.max_compute_invocations_per_workgroup, 256),
        ("threads along x", limits.max_compute_workgroup_size_x, 256),
        ("bytes of workgroup memory", limits.max_compute_workgroup_storage_size, 16384),
        ("workgroups per dimension", limits.max_compute_workgroups_per_dimension, 65535),
    ];
    if name.starts_with(NULL_DEVICE) {
        return Some("a null device, which compiles and executes nothing (RADV_FORCE_FAMILY is set)".into());
    }
    if !compute {
        return Some("no compute shaders".into());
    }
    let alignment = limits.min_storage_buffer_offset_alignment;
    if alignment > MOST_ALIGNMENT {
        return Some(format!("operands must be aligned to {alignment} bytes, at most {MOST_ALIGNMENT} is supported"));
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

/// Marks every entry whose device another eligible entry provides under a preferred backend (or earlier in the list).
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

/// Percentage of the driver's memory budget for this process (on Vulkan and DX12, where it is reported) above which no
/// buffer is created. The allocation fails as out of memory, instead of succeeding and then being paged in and out or
/// losing the device.
const BUDGET: u8 = 95;

/// Numbers the eligible entries in order.
fn number(facts: &mut [AdapterFacts]) {
    for (n, entry) in facts.iter_mut().filter(|f| f.eligible()).enumerate() {
        entry.number = Some(n);
    }
}

/// Which of `all` are in `strict`; each entry of `strict` matches one.
fn accounted<T: PartialEq>(all: &[T], mut strict: Vec<T>) -> Vec<bool> {
    let found = |item: &T| strict.iter().position(|s| s == item).map(|i| strict.swap_remove(i)).is_some();
    all.iter().map(found).collect()
}

/// [`list`], each adapter with whether its driver is conformant. wgpu does not report this, but hides non-conformant
/// drivers by default.
fn with_verdict(backends: wgpu::Backends) -> Vec<(wgpu::Adapter, bool)> {
    let all = list(backends);
    let vulkan = |adapter: &wgpu::Adapter| adapter.get_info().backend == wgpu::Backend::Vulkan;
    if !all.iter().any(vulkan) {
        return all.into_iter().map(|adapter| (adapter, true)).collect();
    }
    // All properties that the driver reports of an adapter.
    let identity = |adapter: &wgpu::Adapter| format!("{:?}", adapter.get_info());
    let strict = ask(backends, None, false).iter().map(identity).collect();
    let conformant = accounted(&all.iter().map(identity).collect::<Vec<_>>(), strict);
    all.into_iter().zip(conformant).collect()
}

/// The adapters that `backends` list. Software adapters have no [`BUDGET`]: their memory is the host's, shared with
/// other processes, and lavapipe's report of it is unreliable.
fn list(backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
    let software = |adapter: &wgpu::Adapter| adapter.get_info().device_type == wgpu::DeviceType::Cpu;
    let mut adapters = ask(backends, Some(BUDGET), true);
    if adapters.iter().any(software) {
        adapters.retain(|adapter| !software(adapter));
        adapters.extend(ask(backends, None, true).into_iter().filter(software));
    }
    adapters
}

/// The adapters of a new instance, including those of non-conformant drivers if `all` is set. A driver that panics
/// counts as absent.
fn ask(backends: wgpu::Backends, budget: Option<u8>, all: bool) -> Vec<wgpu::Adapter> {
    let backends = backends & wgpu::Instance::enabled_backend_features();
    if backends.is_empty() {
        return Vec::new();
    }
    let ask = || {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        // No driver debug layers, even in debug builds: they print, and they slow shaders down.
        descriptor.flags = wgpu::InstanceFlags::empty().with_env();
        descriptor.flags.set(wgpu::InstanceFlags::ALLOW_UNDERLYING_NONCOMPLIANT_ADAPTER, all);
        descriptor.backends &= backends;
        descriptor.memory_budget_thresholds.for_resource_creation = budget;
        pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends))
    };
    catch_unwind(ask).unwrap_or_default()
}

/// Every adapter on this machine, GL last; an empty list without any driver.
///
/// Drivers are queried once per process: it takes time, and GL contexts must not be created and dropped on several
/// threads.
pub fn enumerate() -> Vec<Adapter> {
    static ADAPTERS: OnceLock<Vec<Adapter>> = OnceLock::new();
    let ask = || {
        let mut handles = with_verdict(wgpu::Backends::PRIMARY);
        handles.extend(with_verdict(wgpu::Backends::GL));
        let mut facts: Vec<AdapterFacts> =
            handles.iter().map(|(h, conformant)| AdapterFacts::new(h, *conformant)).collect();
        mark_duplicates(&mut facts);
        number(&mut facts);
        handles.into_iter().zip(facts).map(|((handle, _), facts)| Adapter { facts, handle }).collect()
    };
    ADAPTERS.get_or_init(ask).clone()
}

/// Keeps Mesa's Vulkan device-selection layer from printing "XDG_RUNTIME_DIR is invalid" where that directory does not
/// exist: on machines without a desktop, over `ssh -X`, under sudo and in containers. The layer only sorts devices by
/// preference, which [`super::choose`] does itself. If the user configures the layer, it stays enabled and gets a
/// directory without a compositor.
///
/// # Safety
/// Call this before any thread is started: it sets an environment variable.
pub unsafe fn quiet_drivers() {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    // The layer's Wayland library prints if the variable is missing or not an absolute path.
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

    pub(in crate::gpu) fn facts(name: &str, kind: AdapterKind, backend: Backend, pci: &str) -> AdapterFacts {
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
            variant: "",
            unusable: None,
            duplicate: false,
            conformant: true,
            number: None,
        }
        .with_variant()
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
        let card = |pci| facts("NVIDIA H100", AdapterKind::DiscreteGpu, Backend::Vulkan, pci);
        let mut weak = card("");
        weak.unusable = Some("no compute shaders".into());
        let mut dzn = facts("Microsoft Direct3D12 (NVIDIA RTX)", AdapterKind::DiscreteGpu, Backend::Vulkan, "");
        dzn.conformant = false;
        let software = facts("llvmpipe", AdapterKind::Cpu, Backend::Vulkan, "");
        let all = numbered(vec![card("0000:01:00.0"), weak, card("0000:02:00.0"), card(""), dzn, software]);
        let numbers: Vec<_> = all.iter().map(|f| f.number).collect();
        assert_eq!(
            numbers,
            [Some(0), None, Some(1), Some(2), Some(3), Some(4)],
            "an adapter that cannot be chosen has no number"
        );
        let addresses: Vec<_> = all.iter().map(AdapterFacts::address).collect();
        assert_eq!(addresses, ["0000:01:00.0", "", "0000:02:00.0", "gpu:2", "gpu:3", ""]);
        assert_eq!(all[2].title(), "NVIDIA H100 (gpu:1, DiscreteGpu, Vulkan, PCI 0000:02:00.0)");
        assert!(all[4].title().ends_with("(gpu:3, DiscreteGpu, Vulkan, not conformant)"), "{}", all[4].title());
    }

    #[test]
    fn one_device_under_two_backends_counts_once() {
        let list = vec![
            facts("NVIDIA GeForce RTX 3080/PCIe/SSE2", AdapterKind::Other, Backend::Gl, ""),
            facts("AMD Radeon RX 6700 XT (radeonsi, navi22, LLVM 15)", AdapterKind::Other, Backend::Gl, ""),
            facts("NVIDIA GeForce RTX 3080", AdapterKind::DiscreteGpu, Backend::Vulkan, "0000:01:00.0"),
            facts("AMD Radeon RX 6700 XT (RADV NAVI22)", AdapterKind::DiscreteGpu, Backend::Vulkan, "0000:02:00.0"),
            facts("llvmpipe (LLVM 15)", AdapterKind::Cpu, Backend::Vulkan, ""),
            facts("llvmpipe (LLVM 15)", AdapterKind::Cpu, Backend::Vulkan, ""),
            facts("llvmpipe (LLVM 15)", AdapterKind::Cpu, Backend::Gl, ""),
        ];
        assert_eq!(duplicates(list), [true, true, false, false, false, true, true]);
    }

    #[test]
    fn lanes_need_a_software_adapter_with_subgroups_of_8_and_both_features() {
        let mut cpu = facts("llvmpipe (LLVM 15)", AdapterKind::Cpu, Backend::Vulkan, "");
        cpu.subgroup = [8, 8];
        cpu.features = BTreeMap::from([("subgroup", true), ("shader_int64", true)]);
        assert_eq!(cpu.class(), Class::Lanes);
        let without = |change: fn(&mut AdapterFacts)| {
            let mut other = cpu.clone();
            change(&mut other);
            assert!(!other.runs(Class::Lanes) && Class::PORTABLE.iter().all(|class| other.runs(*class)));
            other.class()
        };
        assert_eq!(without(|f| f.subgroup = [4, 4]), Class::Direct);
        assert_eq!(without(|f| f.subgroup = [4, 8]), Class::Direct);
        assert_eq!(without(|f| f.backend = Backend::Gl), Class::Direct);
        assert_eq!(without(|f| f.features = BTreeMap::from([("subgroup", true)])), Class::Direct);
        assert_eq!(without(|f| f.features = BTreeMap::from([("shader_int64", true)])), Class::Direct);
        assert_eq!(without(|f| f.kind = AdapterKind::IntegratedGpu), Class::Tiled);
    }

    #[test]
    fn a_null_device_is_unusable() {
        let limits = wgpu::Limits::default();
        for name in ["Null hardware (RADV NAVI21)", "Null hardware (RADV VEGA10)"] {
            assert!(unusable(name, true, &limits).is_some_and(|why| why.contains("executes nothing")), "{name}");
        }
        assert_eq!(unusable("AMD Radeon RX 6800 (RADV NAVI21)", true, &limits), None);
    }

    #[test]
    fn twin_cards_stay_two_and_an_unusable_entry_hides_nothing() {
        let twin = |pci| facts("NVIDIA H100", AdapterKind::DiscreteGpu, Backend::Vulkan, pci);
        assert_eq!(duplicates(vec![twin("0000:01:00.0"), twin("0000:02:00.0")]), [false, false]);
        let mut broken = twin("");
        broken.unusable = Some("no compute shaders".into());
        let gl = facts("NVIDIA H100/PCIe/SSE2", AdapterKind::Other, Backend::Gl, "");
        assert_eq!(duplicates(vec![broken, gl]), [false, false]);
    }
}
