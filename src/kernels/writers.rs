//! naga's writers, configured as in wgpu: they produce the text that a driver reads, without a driver.

use super::reflect::Shader;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::{AddressSpace, ResourceBinding, ShaderStage, StorageAccess};

/// A language that [`Shader::translate`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Language {
    /// The assembled WGSL itself.
    Wgsl,
    /// SPIR-V 1.3, binary (Vulkan).
    Spirv,
    /// Metal Shading Language 2.0.
    Msl,
    /// HLSL, shader model 5.1 (DX12).
    Hlsl,
    /// GLSL ES 3.10 (OpenGL).
    Glsl,
}

impl Language {
    /// The language's usual name.
    pub fn name(self) -> &'static str {
        match self {
            Language::Wgsl => "WGSL",
            Language::Spirv => "SPIR-V",
            Language::Msl => "MSL",
            Language::Hlsl => "HLSL",
            Language::Glsl => "GLSL ES",
        }
    }
}

impl Shader {
    /// The module in another language, without the run-time checks that only software adapters keep ([`WriterConfig::shown`]);
    /// text as UTF-8, SPIR-V as little-endian words. `wgsl` is the text that the module was parsed from, returned for
    /// [`Language::Wgsl`].
    ///
    /// # Errors
    /// If naga's writer for that language rejects the module.
    pub fn translate(&self, wgsl: &str, language: Language) -> Result<Vec<u8>, String> {
        match language {
            Language::Wgsl => Ok(wgsl.as_bytes().to_vec()),
            _ => self.write(WriterConfig::shown(language)),
        }
    }
}

/// The run-time checks that a writer adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Checks {
    /// Clamped indices, bounded loops, guarded integer divisions, workgroup memory zeroed by the shader. The GLSL
    /// writer only supports the last.
    All,
    /// The same on a device that clamps buffer accesses and zeroes workgroup memory itself (SPIR-V only).
    Device,
    /// None, and workgroup memory is not zeroed.
    None,
}

/// One configuration for writing a shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WriterConfig {
    /// SPIR-V, MSL, HLSL or GLSL; [`Language::Wgsl`] writes nothing.
    pub language: Language,
    /// Version of SPIR-V, MSL and GLSL ES, shader model of HLSL.
    pub version: (u8, u8),
    /// Run-time checks.
    pub checks: Checks,
}

const fn form(language: Language, version: (u8, u8), checks: Checks) -> WriterConfig {
    WriterConfig { language, version, checks }
}

impl WriterConfig {
    /// The configurations that wgpu uses: SPIR-V for Vulkan 1.0, 1.1 and 1.3, old and new Metal, HLSL for FXC (shader
    /// model 5.1) and DXC, and the oldest GLSL with compute shaders.
    pub const ALL: [WriterConfig; 14] = [
        form(Language::Spirv, (1, 0), Checks::All),
        form(Language::Spirv, (1, 3), Checks::Device),
        form(Language::Spirv, (1, 3), Checks::None),
        form(Language::Spirv, (1, 6), Checks::All),
        form(Language::Msl, (2, 0), Checks::All),
        form(Language::Msl, (2, 0), Checks::None),
        form(Language::Msl, (3, 2), Checks::All),
        form(Language::Msl, (3, 2), Checks::None),
        form(Language::Hlsl, (5, 1), Checks::All),
        form(Language::Hlsl, (5, 1), Checks::None),
        form(Language::Hlsl, (6, 0), Checks::All),
        form(Language::Hlsl, (6, 0), Checks::None),
        form(Language::Glsl, (3, 10), Checks::All),
        form(Language::Glsl, (3, 10), Checks::None),
    ];

    /// The configuration of `fedgan kernels --show`: the oldest common version, without checks.
    pub const fn shown(language: Language) -> WriterConfig {
        match language {
            Language::Hlsl => form(language, (5, 1), Checks::None),
            Language::Msl => form(language, (2, 0), Checks::None),
            Language::Glsl => form(language, (3, 10), Checks::None),
            Language::Spirv | Language::Wgsl => form(language, (1, 3), Checks::None),
        }
    }

    /// The environment in which spirv-val checks SPIR-V of this version.
    pub fn spirv_environment(&self) -> &'static str {
        match self.version {
            (1, 0) => "vulkan1.0",
            (1, 3) => "vulkan1.1",
            _ => "vulkan1.3",
        }
    }

    fn checked(&self) -> bool {
        self.checks != Checks::None
    }

    fn policies(&self) -> BoundsCheckPolicies {
        let on = |yes| if yes { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
        BoundsCheckPolicies {
            index: on(self.checked()),
            buffer: on(self.checks == Checks::All),
            image_load: on(self.checks == Checks::All),
            binding_array: BoundsCheckPolicy::Unchecked,
        }
    }
}

impl std::fmt::Display for WriterConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let checks = match self.checks {
            Checks::All => "with checks",
            Checks::Device => "with the device's checks",
            Checks::None => "without checks",
        };
        write!(f, "{} {}.{} {checks}", self.language.name(), self.version.0, self.version.1)
    }
}

impl Shader {
    /// True if a device that takes `form` may have what the shader needs: subgroups came with SPIR-V 1.3, and adapters of
    /// [`super::Class::Lanes`] read no other language.
    pub fn suits(&self, form: WriterConfig) -> bool {
        !self.lanes || form.language == Language::Spirv && form.version >= (1, 3)
    }

    /// The capabilities that its SPIR-V may declare.
    fn capabilities(&self) -> &'static [naga::back::spv::Capability] {
        use naga::back::spv::Capability::{self, Int64, Matrix, Shader};
        // naga declares the second for every broadcast.
        use naga::back::spv::Capability::{GroupNonUniformBallot, GroupNonUniformShuffle};
        const LANES: &[Capability] = &[Shader, Matrix, Int64, GroupNonUniformBallot, GroupNonUniformShuffle];
        if self.lanes { LANES } else { &[Shader, Matrix] }
    }

    /// The shader in `form`; empty for WGSL. Bindings outside the engine's layouts (groups other than 0) are rejected,
    /// as is SPIR-V that needs an optional capability which [`super::Class::Lanes`] does not have.
    ///
    /// # Errors
    /// The error of naga's writer.
    pub fn write(&self, form: WriterConfig) -> Result<Vec<u8>, String> {
        match form.language {
            Language::Wgsl => Ok(Vec::new()),
            Language::Spirv => self.spirv(form),
            Language::Msl => self.msl(form).map(String::into_bytes),
            Language::Hlsl => self.hlsl(form).map(String::into_bytes),
            Language::Glsl => self.glsl(form).map(String::into_bytes),
        }
        .map_err(|what| format!("{form}: {what}"))
    }

    /// The bindings of group 0 and whether each is written, in the order of their declaration.
    fn layout(&self) -> Vec<(ResourceBinding, AddressSpace, bool)> {
        let bound = |g: &naga::GlobalVariable| {
            let binding = g.binding.filter(|b| b.group == 0)?;
            let written = matches!(g.space, AddressSpace::Storage { access } if access.contains(StorageAccess::STORE));
            Some((binding, g.space, written))
        };
        self.module.global_variables.iter().filter_map(|(_, g)| bound(g)).collect()
    }

    fn spirv(&self, form: WriterConfig) -> Result<Vec<u8>, String> {
        use naga::back::spv;
        let zero = match form.checks {
            Checks::All => spv::ZeroInitializeWorkgroupMemoryMode::Polyfill,
            Checks::Device => spv::ZeroInitializeWorkgroupMemoryMode::Native,
            Checks::None => spv::ZeroInitializeWorkgroupMemoryMode::None,
        };
        let target = |b: ResourceBinding| {
            (b, spv::BindingInfo { descriptor_set: b.group, binding: b.binding, binding_array_size: None })
        };
        let options = spv::Options {
            lang_version: form.version,
            flags: spv::WriterFlags::DEBUG,
            fake_missing_bindings: false,
            binding_map: self.layout().iter().map(|(b, ..)| target(*b)).collect(),
            capabilities: Some(self.capabilities().iter().copied().collect()),
            bounds_check_policies: form.policies(),
            zero_initialize_workgroup_memory: zero,
            force_loop_bounding: form.checked(),
            emit_int_div_checks: form.checked(),
            ..Default::default()
        };
        let entry = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".into() };
        let words = spv::write_vec(&self.module, &self.info, &options, Some(&entry)).map_err(|e| e.to_string())?;
        Ok(words.iter().flat_map(|w| w.to_le_bytes()).collect())
    }

    fn msl(&self, form: WriterConfig) -> Result<String, String> {
        use naga::back::msl;
        // Buffers in the order of their bindings; the lengths that runtime-sized arrays need come last.
        let layout = self.layout();
        let resources = layout.iter().map(|(binding, _, written)| {
            let buffer = Some(binding.binding as u8);
            (*binding, msl::BindTarget { buffer, mutable: *written, ..Default::default() })
        });
        let entry = msl::EntryPointResources {
            resources: resources.collect(),
            sizes_buffer: Some(layout.len() as u8),
            ..Default::default()
        };
        let options = msl::Options {
            lang_version: form.version,
            per_entry_point_map: [("main".to_string(), entry)].into_iter().collect(),
            fake_missing_bindings: false,
            bounds_check_policies: form.policies(),
            force_loop_bounding: form.checked(),
            emit_int_div_checks: form.checked(),
            zero_initialize_workgroup_memory: form.checked(),
            ..Default::default()
        };
        let entry_point = Some((ShaderStage::Compute, "main".to_string()));
        let pipeline = msl::PipelineOptions { entry_point, ..Default::default() };
        let (text, info) =
            msl::write_string(&self.module, &self.info, &options, &pipeline).map_err(|e| e.to_string())?;
        // A binding without a slot is reported here rather than as an error of the writer.
        info.entry_point_names.into_iter().find_map(Result::err).map_or(Ok(text), |e| Err(e.to_string()))
    }

    fn hlsl(&self, form: WriterConfig) -> Result<String, String> {
        use naga::back::hlsl;
        // Registers by class: the parameter block is b0, buffers are numbered in t (read) and u (written).
        let (mut read, mut written) = (0..8u32, 0..8u32);
        let mut target = |(binding, space, write): (ResourceBinding, AddressSpace, bool)| {
            let register = match (space, write) {
                (AddressSpace::Uniform, _) => Some(binding.binding),
                (_, false) => read.next(),
                (_, true) => written.next(),
            };
            let register = register.ok_or("more than 8 storage buffers")?;
            Ok((binding, hlsl::BindTarget { register, restrict_indexing: true, ..Default::default() }))
        };
        let binding_map = self.layout().into_iter().map(&mut target).collect::<Result<_, String>>()?;
        let options = hlsl::Options {
            shader_model: if form.version.0 < 6 { hlsl::ShaderModel::V5_1 } else { hlsl::ShaderModel::V6_0 },
            binding_map,
            fake_missing_bindings: false,
            restrict_indexing: form.checked(),
            force_loop_bounding: form.checked(),
            zero_initialize_workgroup_memory: form.checked(),
            ..Default::default()
        };
        let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, "main".into())) };
        let mut text = String::new();
        let info = hlsl::Writer::new(&mut text, &options, &pipeline)
            .write(&self.module, &self.info, None)
            .map_err(|e| e.to_string())?;
        info.entry_point_names.into_iter().find_map(Result::err).map_or(Ok(text), |e| Err(e.to_string()))
    }

    fn glsl(&self, form: WriterConfig) -> Result<String, String> {
        use naga::back::glsl;
        let binding = |(binding, ..): &(ResourceBinding, AddressSpace, bool)| (*binding, binding.binding as u8);
        let layout = self.layout();
        // naga gives a binding that is missing from the map no number instead of rejecting it.
        let bound = self.module.global_variables.iter().filter(|(_, g)| g.binding.is_some()).count();
        if bound != layout.len() {
            return Err(format!("{} bindings without a slot", bound - layout.len()));
        }
        let options = glsl::Options {
            version: glsl::Version::new_gles(u16::from(form.version.0) * 100 + u16::from(form.version.1)),
            writer_flags: glsl::WriterFlags::empty(),
            binding_map: layout.iter().map(binding).collect(),
            zero_initialize_workgroup_memory: form.checked(),
        };
        let entry_point = "main".to_string();
        let pipeline = glsl::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point, multiview: None };
        let mut text = String::new();
        let policies = BoundsCheckPolicies::default();
        glsl::Writer::new(&mut text, &self.module, &self.info, &options, &pipeline, policies)
            .and_then(|mut writer| writer.write())
            .map_err(|e| e.to_string())?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::shader::{self, Assembled};

    fn text_of(shader: &Shader, form: WriterConfig) -> String {
        String::from_utf8(shader.write(form).unwrap()).unwrap()
    }

    /// Each switch changes the output; otherwise some configurations would be redundant.
    #[test]
    fn the_forms_differ_where_they_should() {
        let text = shader::assemble_file("nn/batch_norm_stats.wgsl", &[], true).unwrap();
        let shader = Shader::parse(&text).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for form in WriterConfig::ALL {
            let bytes = shader.write(form).unwrap();
            assert!(!bytes.is_empty(), "{form}");
            // Metal 2.0 and 3.2, and the shader models, may give equal texts; checks may not. GLSL only has zeroed
            // memory.
            let new = seen.insert(bytes);
            let own = form.version == WriterConfig::shown(form.language).version && form.language != Language::Glsl;
            assert!(new || !own, "{form} is written twice");
        }
        let msl = |checks| text_of(&shader, form(Language::Msl, (2, 0), checks));
        assert!(msl(Checks::All).contains("loop_bound") && !msl(Checks::None).contains("loop_bound"));
        let hlsl = |checks| text_of(&shader, form(Language::Hlsl, (5, 1), checks));
        assert!(hlsl(Checks::All).contains("loop_bound") && !hlsl(Checks::None).contains("loop_bound"));
    }

    /// Every writer rejects modules that naga's validator accepts and a backend does not support.
    #[test]
    fn writers_refuse() {
        let group = "@group(1) @binding(0) var<storage, read_write> y: array<u32>;
            @compute @workgroup_size(1) fn main() { y[0] = 1u; }";
        let no_main = "@group(0) @binding(0) var<storage, read_write> y: array<u32>;
            @compute @workgroup_size(1) fn other() { y[0] = 1u; }";
        for text in [group, no_main] {
            let shader = Shader::parse(&Assembled::plain("test", text)).unwrap();
            for form in WriterConfig::ALL {
                let error = shader.write(form).unwrap_err();
                assert!(error.starts_with(&form.to_string()), "{error}");
            }
        }
    }

    #[test]
    fn translates_to_every_language() {
        let text = shader::source("util/fill.wgsl").unwrap();
        let shader = Shader::parse(&Assembled::plain("fill", text)).unwrap();
        let spirv = shader.translate(text, Language::Spirv).unwrap();
        assert_eq!(spirv[..4], 0x0723_0203_u32.to_le_bytes());
        let text_of = |language| String::from_utf8(shader.translate(text, language).unwrap()).unwrap();
        assert_eq!(text_of(Language::Wgsl), text);
        assert!(text_of(Language::Msl).contains("[[buffer(1)]]"));
        assert!(text_of(Language::Hlsl).contains("numthreads(256, 1, 1)"));
        assert!(text_of(Language::Glsl).contains("local_size_x = 256"));
    }
}
