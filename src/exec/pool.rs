//! Buffers that several users share, one after the other.

use super::{Engine, Tensor};
use crate::{Error, Result};

/// Buffers for users that work one after the other and leave no data behind. The first user's requests are allocated.
/// Each later user gets the same buffers in the same order, up to the same sizes.
///
/// A user finds the data of the previous one, so it must write before it reads.
#[derive(Debug, Default)]
pub struct Pool {
    /// Labels and buffers in the order of the first user's requests.
    buffers: Vec<(String, Tensor)>,
    next: usize,
    /// The first user is done: no further buffer is allocated.
    complete: bool,
}

impl Pool {
    /// The next buffer, of `words` words; zero-filled for the first user.
    ///
    /// # Errors
    /// As [`Engine::alloc`]; [`Error::Internal`] if a later user requests another label or a larger size than the
    /// first.
    pub fn alloc(&mut self, engine: &mut dyn Engine, label: &str, words: usize) -> Result<Tensor> {
        let at = self.next;
        self.next += 1;
        match self.buffers.get(at) {
            Some((known, buffer)) if known == label && words <= buffer.words => Ok(buffer.slice(0, words)),
            Some((known, buffer)) => Err(Error::internal(format!(
                "pool: `{label}` of {words} words was requested where the first user took `{known}` of {}",
                buffer.words
            ))),
            None if self.complete => {
                Err(Error::internal(format!("pool: `{label}` was requested after all {at} buffers of the first user")))
            }
            None => {
                let buffer = engine.alloc(label, words)?;
                self.buffers.push((label.into(), buffer));
                Ok(buffer)
            }
        }
    }

    /// Ends the current user and starts the next.
    ///
    /// # Errors
    /// [`Error::Internal`] if the current user took fewer buffers than the first.
    pub fn next_user(&mut self) -> Result<()> {
        if self.next != self.buffers.len() {
            return Err(Error::internal(format!("pool: {} of {} buffers were taken", self.next, self.buffers.len())));
        }
        self.next = 0;
        self.complete = true;
        Ok(())
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().map(|(_, buffer)| 4 * buffer.words as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::CpuEngine;

    #[test]
    fn later_users_get_the_buffers_of_the_first_and_nothing_else() {
        let mut engine = CpuEngine::new();
        let mut pool = Pool::default();
        let a = pool.alloc(&mut engine, "a", 128).unwrap();
        let b = pool.alloc(&mut engine, "b", 64).unwrap();
        assert_eq!(pool.bytes(), 4 * (128 + 64));
        pool.next_user().unwrap();
        assert_eq!(pool.alloc(&mut engine, "a", 64).unwrap(), a.slice(0, 64));
        let short = pool.next_user().unwrap_err().to_string();
        assert!(short.contains("1 of 2 buffers"), "{short}");
        assert_eq!(pool.alloc(&mut engine, "b", 64).unwrap(), b);
        let more = pool.alloc(&mut engine, "c", 1).unwrap_err().to_string();
        assert!(more.contains("`c` was requested after all 2 buffers"), "{more}");
        for (label, words) in [("b", 64), ("a", 129)] {
            let mut pool = Pool { buffers: vec![("a".into(), a)], next: 0, complete: true };
            let other = pool.alloc(&mut engine, label, words).unwrap_err();
            assert!(matches!(&other, Error::Internal(what) if what.contains("took `a` of 128")), "{other}");
        }
    }
}
