//! Wrapping engines: engines around another one.

/// For use inside `impl Engine for` a type with the field `inner`, an engine or a box of one: forwards the listed
/// methods of [`Engine`](super::Engine) to the inner engine. The wrapper implements the others; a method in neither
/// list has the trait's default, which for `timed` calls the wrapper's own `run`.
#[macro_export]
macro_rules! forward_engine {
    ($($method:ident),+ $(,)?) => { $($crate::forward_engine!(@ $method);)+ };
    (@ descriptor) => {
        fn descriptor(&self) -> &$crate::exec::Descriptor {
            self.inner.descriptor()
        }
        // What is recorded depends on it, as on the identity.
        fn winograd(&self) -> bool {
            self.inner.winograd()
        }
        fn ranks(&self) -> usize {
            self.inner.ranks()
        }
        fn place(&mut self, rank: usize) {
            self.inner.place(rank);
        }
        fn prepare(&mut self, recording: &$crate::exec::Recording) -> $crate::Result<()> {
            self.inner.prepare(recording)
        }
        fn prefetch(&mut self, from: $crate::exec::Tensor) -> $crate::Result<()> {
            self.inner.prefetch(from)
        }
        fn exchanged(&self) -> u64 {
            self.inner.exchanged()
        }
    };
    (@ alloc) => {
        fn alloc(&mut self, label: &str, words: usize) -> $crate::Result<$crate::exec::Tensor> {
            self.inner.alloc(label, words)
        }
    };
    (@ write) => {
        fn write(&mut self, to: $crate::exec::Tensor, words: &[u32]) -> $crate::Result<()> {
            self.inner.write(to, words)
        }
    };
    (@ read) => {
        fn read(&mut self, from: $crate::exec::Tensor, purpose: $crate::exec::Purpose) -> $crate::Result<Vec<u32>> {
            self.inner.read(from, purpose)
        }
    };
    (@ run) => {
        fn run(&mut self, recording: &$crate::exec::Recording, times: u32) -> $crate::Result<()> {
            self.inner.run(recording, times)
        }
    };
    (@ timed) => {
        fn timed(
            &mut self,
            recording: &$crate::exec::Recording,
            times: u32,
        ) -> $crate::Result<$crate::exec::Timed> {
            self.inner.timed(recording, times)
        }
    };
    (@ finish) => {
        fn finish(&mut self) -> $crate::Result<()> {
            self.inner.finish()
        }
    };
    (@ traffic) => {
        fn traffic(&self) -> &$crate::exec::Traffic {
            self.inner.traffic()
        }
    };
    (@ max_binding_words) => {
        fn max_binding_words(&self) -> usize {
            self.inner.max_binding_words()
        }
    };
    (@ allocated_bytes) => {
        fn allocated_bytes(&self) -> u64 {
            self.inner.allocated_bytes()
        }
    };
    (@ forget) => {
        fn forget(&mut self, recording: &$crate::exec::Recording) {
            self.inner.forget(recording);
        }
    };
}
