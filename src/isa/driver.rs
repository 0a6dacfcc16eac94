//! The child process: one family of RADV's null device, opened through Vulkan itself. wgpu cannot open it, because it has no memory
//! to allocate; it compiles all the same, and VK_KHR_pipeline_executable_properties has the result.

use ash::khr::pipeline_executable_properties as executables;
use ash::vk;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::CStr;

/// What the driver reports of one shader.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Compiled {
    /// Numbers by the driver's names, such as `VGPRs`.
    pub(super) statistics: BTreeMap<String, u64>,
    /// The machine code as text.
    pub(super) assembly: String,
}

/// An open null device. It lives as long as the process: RADV's null device is not made to be torn down, and a few hundred
/// pipelines are small.
pub(super) struct Driver {
    device: ash::Device,
    executables: executables::Device,
    /// Its name, such as `Null hardware (RADV NAVI21)`.
    pub(super) name: String,
    /// Driver and version, such as `Mesa 22.3.6`.
    pub(super) version: String,
    // Holds the loader's library.
    _entry: ash::Entry,
}

/// How an attempt to open the device failed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) enum Refusal {
    /// The Vulkan loader is not installed.
    NoLoader(String),
    /// Anything else.
    Failed(String),
}

fn failed(what: &str) -> impl Fn(vk::Result) -> String + '_ {
    move |code| format!("{what}: {code}")
}

impl Driver {
    /// Opens the first device that the loader finds: `RADV_FORCE_FAMILY` and `VK_ICD_FILENAMES` are set for this process.
    ///
    /// # Errors
    /// Without a loader, or without a null device.
    pub(super) fn open() -> Result<Driver, Refusal> {
        // SAFETY: loads the system's Vulkan loader, whose initialisers are sound to run.
        let entry = unsafe { ash::Entry::load() }.map_err(|e| Refusal::NoLoader(e.to_string()))?;
        Driver::with(entry).map_err(Refusal::Failed)
    }

    fn with(entry: ash::Entry) -> Result<Driver, String> {
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        let info = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: `info` is valid and outlives the call.
        let instance = unsafe { entry.create_instance(&info, None) }.map_err(failed("cannot create an instance"))?;
        // SAFETY: the instance is alive; it is never destroyed.
        let gpus = unsafe { instance.enumerate_physical_devices() }.map_err(failed("cannot list the devices"))?;
        let gpu = *gpus.first().ok_or("the driver has no device of this family")?;
        let mut properties = vk::PhysicalDeviceDriverProperties::default();
        let mut all = vk::PhysicalDeviceProperties2::default().push_next(&mut properties);
        // SAFETY: `gpu` is of this instance, and the chain holds structures that Vulkan 1.2 knows.
        unsafe { instance.get_physical_device_properties2(gpu, &mut all) };
        let name = text(&all.properties.device_name);
        if !name.starts_with("Null hardware") {
            return Err(format!("`{name}` is not RADV's null device: this driver does not know RADV_FORCE_FAMILY"));
        }
        let version = text(&properties.driver_info);
        let device = open_device(&instance, gpu)?;
        let executables = executables::Device::new(&instance, &device);
        Ok(Driver { device, executables, name, version, _entry: entry })
    }

    /// Compiles a module whose entry point is `main`.
    ///
    /// # Errors
    /// What the driver refuses, and a driver that reports no assembly.
    pub(super) fn compile(&self, words: &[u32]) -> Result<Compiled, String> {
        let pipeline = self.pipeline(words)?;
        let info = vk::PipelineInfoKHR::default().pipeline(pipeline);
        // SAFETY: the pipeline is of this device, and was made to be examined.
        let found = unsafe { self.executables.get_pipeline_executable_properties(&info) };
        if found.map_err(failed("no executables"))?.is_empty() {
            return Err("the driver reports no executable".into());
        }
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
        // SAFETY: as above; executable 0 exists.
        let statistics = unsafe { self.executables.get_pipeline_executable_statistics(&info) };
        let statistics = statistics.map_err(failed("no statistics"))?;
        let statistics = statistics.iter().map(|s| (text(&s.name), number(s))).collect();
        let texts = self.texts(&info)?;
        let assembly =
            texts.into_iter().find(|(name, _)| name == "Assembly").ok_or("the driver reports no assembly")?;
        Ok(Compiled { statistics, assembly: assembly.1 })
    }

    fn pipeline(&self, words: &[u32]) -> Result<vk::Pipeline, String> {
        let bindings: Vec<_> = bindings(words)
            .into_iter()
            .map(|(binding, kind)| {
                let stage = vk::ShaderStageFlags::COMPUTE;
                let layout = vk::DescriptorSetLayoutBinding::default().binding(binding).descriptor_type(kind);
                layout.descriptor_count(1).stage_flags(stage)
            })
            .collect();
        let info = vk::ShaderModuleCreateInfo::default().code(words);
        // SAFETY: naga wrote and validated the module; all structures outlive the calls, all objects the device.
        unsafe {
            let module = self.device.create_shader_module(&info, None).map_err(failed("module"))?;
            let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let sets = [self.device.create_descriptor_set_layout(&info, None).map_err(failed("set layout"))?];
            let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = self.device.create_pipeline_layout(&info, None).map_err(failed("pipeline layout"))?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let flags = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
            let info = vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout).flags(flags);
            let made = self.device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            made.map(|pipelines| pipelines[0]).map_err(|(_, code)| format!("cannot compile: {code}"))
        }
    }

    /// The driver's texts by name. ash's wrapper leaves out their content: it asks for sizes only.
    fn texts(&self, info: &vk::PipelineExecutableInfoKHR<'_>) -> Result<Vec<(String, String)>, String> {
        let get = self.executables.fp().get_pipeline_executable_internal_representations_khr;
        // SAFETY: the executable exists.
        let sizes = unsafe { self.executables.get_pipeline_executable_internal_representations(info) };
        let mut list = sizes.map_err(failed("no representations"))?;
        let mut bytes: Vec<Vec<u8>> = list.iter().map(|entry| vec![0; entry.data_size]).collect();
        for (entry, buffer) in list.iter_mut().zip(&mut bytes) {
            entry.p_data = buffer.as_mut_ptr().cast();
        }
        let mut count = list.len() as u32;
        // SAFETY: `list` has `count` entries, each with a buffer of its size.
        unsafe { get(self.device.handle(), info, &mut count, list.as_mut_ptr()) }
            .result()
            .map_err(failed("no representations"))?;
        let content = |buffer: &Vec<u8>| {
            let end = buffer.iter().position(|byte| *byte == 0).unwrap_or(buffer.len());
            String::from_utf8_lossy(&buffer[..end]).into_owned()
        };
        Ok(list.iter().zip(&bytes).map(|(entry, buffer)| (text(&entry.name), content(buffer))).collect())
    }
}

/// The device as wgpu opens it: buffer accesses out of bounds are the hardware's business.
fn open_device(instance: &ash::Instance, gpu: vk::PhysicalDevice) -> Result<ash::Device, String> {
    // SAFETY: `gpu` is of this instance.
    let known = unsafe { instance.enumerate_device_extension_properties(gpu) }.map_err(failed("no extensions"))?;
    let has = |name: &CStr| known.iter().any(|e| e.extension_name_as_c_str() == Ok(name));
    if !has(executables::NAME) {
        return Err(format!("the driver lacks {}", executables::NAME.to_string_lossy()));
    }
    let robust = has(ash::ext::robustness2::NAME);
    let mut names = vec![executables::NAME.as_ptr()];
    if robust {
        names.push(ash::ext::robustness2::NAME.as_ptr());
    }
    let mut examined =
        vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
    let mut robust2 = vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true);
    let features = vk::PhysicalDeviceFeatures::default().robust_buffer_access(true);
    let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0])];
    let mut info = vk::DeviceCreateInfo::default()
        .queue_create_infos(&queues)
        .enabled_extension_names(&names)
        .enabled_features(&features)
        .push_next(&mut examined);
    if robust {
        info = info.push_next(&mut robust2);
    }
    // SAFETY: the structures outlive the call, and the extensions were listed.
    unsafe { instance.create_device(gpu, &info, None) }.map_err(failed("cannot open the device"))
}

fn text(name: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = name.iter().map(|c| *c as u8).take_while(|c| *c != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// RADV's statistics are whole numbers; others are cut.
fn number(statistic: &vk::PipelineExecutableStatisticKHR<'_>) -> u64 {
    use vk::PipelineExecutableStatisticFormatKHR as Format;
    // SAFETY: `format` names the member of the union that is set.
    unsafe {
        match statistic.format {
            Format::BOOL32 => u64::from(statistic.value.b32 != 0),
            Format::INT64 => statistic.value.i64.max(0).unsigned_abs(),
            Format::UINT64 => statistic.value.u64,
            _ => statistic.value.f64 as u64,
        }
    }
}

/// Bindings of a SPIR-V module with their kinds, all of set 0.
fn bindings(words: &[u32]) -> Vec<(u32, vk::DescriptorType)> {
    const VARIABLE: u32 = 59;
    const DECORATE: u32 = 71;
    const BINDING: u32 = 33;
    const UNIFORM: u32 = 2;
    // The header has five words; the first word of an instruction holds its length and its code.
    let (mut numbers, mut uniforms, mut at) = (Vec::new(), Vec::new(), 5);
    while let Some(first) = words.get(at) {
        let length = (first >> 16).max(1) as usize;
        match (first & 0xffff, words.get(at + 1..at + length)) {
            (DECORATE, Some([variable, BINDING, number, ..])) => numbers.push((*variable, *number)),
            (VARIABLE, Some([_, variable, UNIFORM, ..])) => uniforms.push(*variable),
            _ => {}
        }
        at += length;
    }
    let kind = |variable: u32| match uniforms.contains(&variable) {
        true => vk::DescriptorType::UNIFORM_BUFFER,
        false => vk::DescriptorType::STORAGE_BUFFER,
    };
    numbers.into_iter().map(|(variable, number)| (number, kind(variable))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_are_read_from_the_module() {
        let decorate = |variable, number| [4 << 16 | 71, variable, 33, number];
        let variable = |id, class| [4 << 16 | 59, 1, id, class];
        let mut words = vec![0x0723_0203, 0x0001_0300, 0, 20, 0];
        words.extend([decorate(7, 0), decorate(8, 3), variable(7, 2), variable(8, 12)].concat());
        assert_eq!(
            bindings(&words),
            [(0, vk::DescriptorType::UNIFORM_BUFFER), (3, vk::DescriptorType::STORAGE_BUFFER)]
        );
        assert_eq!(bindings(&words[..6]), []);
        // SPIR-V of naga: parameters are uniform, tensors are not.
        let wgsl = crate::kernels::shader::assemble_file("util/fill.wgsl", &[], true).unwrap();
        let bytes =
            crate::kernels::reflect::Shader::parse(&wgsl).and_then(|shader| shader.write(crate::isa::SPIRV)).unwrap();
        let found = bindings(&crate::isa::words(&bytes));
        assert_eq!(found, [(0, vk::DescriptorType::UNIFORM_BUFFER), (1, vk::DescriptorType::STORAGE_BUFFER)]);
    }
}
