//! Protection against panics in decoders of other libraries.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// The result of `decode`, or `None` if it panics. A decoder of another library panics on files that its authors did
/// not foresee (fuzzing found such JPEG files). That is an error of this file, and no reason to end a process that
/// reads thousands. Nothing is printed: the process's panic hook is wrapped once and forwards all other panics.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !GUARDED.try_with(Cell::get).unwrap_or(false) && !is_of_a_library() {
                before(info);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let answer = catch_unwind(AssertUnwindSafe(decode)).ok();
    GUARDED.set(outer);
    answer
}

/// Whether this is a thread of `rten`, which carries its panics over to the thread that waits for it.
fn is_of_a_library() -> bool {
    std::thread::current().name().is_some_and(|name| name.starts_with("rten-"))
}

#[cfg(test)]
mod tests {
    use super::guarded;

    #[test]
    fn only_the_guarded_panic_is_caught() {
        assert_eq!(guarded(|| 3), Some(3));
        let none: Option<u32> = guarded(|| {
            assert_eq!(guarded(|| -> u32 { panic!("inside") }), None);
            panic!("outside")
        });
        assert_eq!(none, None);
        assert!(std::panic::catch_unwind(|| panic!("reported as usual")).is_err());
    }
}
