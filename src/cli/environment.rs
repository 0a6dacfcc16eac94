//! `FEDGAN_DEVICE`: the device where neither the command line nor an axis of a sweep names one. It stands above the plan's key.

use crate::{Error, Result};

/// The variable.
pub const DEVICE: &str = "FEDGAN_DEVICE";

/// What the environment asks for; `None` where the variable is missing or empty.
///
/// # Errors
/// A value that is no text.
pub fn device() -> Result<Option<String>> {
    match std::env::var(DEVICE) {
        Ok(value) => Ok(Some(value).filter(|value| !value.trim().is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Error::input(format!("{DEVICE}: its value is no text"))),
    }
}

/// The device for a command line with `given` after `--device` and these `--set` assignments.
///
/// # Errors
/// A device of the environment that is not there.
pub fn asked(given: Option<String>, set: &[String]) -> Result<Option<String>> {
    match given.is_some() || sets_device(set) {
        true => Ok(given),
        false => device()?.map(known).transpose(),
    }
}

/// A mistake in the environment is one of the environment, not of the plan that it replaces a key of.
fn known(value: String) -> Result<String> {
    match crate::gpu::choose(&value) {
        Ok(_) => Ok(value),
        Err(Error::Input(what)) => Err(Error::Input(format!("{DEVICE}=`{value}`: {what}"))),
        Err(error) => Err(error),
    }
}

fn sets_device(set: &[String]) -> bool {
    set.iter().any(|assignment| assignment.split_once('=').is_some_and(|(key, _)| key.trim() == "device"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_stands_above_the_environment() {
        let set = |texts: &[&str]| sets_device(&texts.iter().map(|t| t.to_string()).collect::<Vec<_>>());
        assert!(set(&["device=cpu"]) && set(&["seed=1", "device = \"cpu\""]));
        assert!(!set(&[]) && !set(&["name=device=x", "devices=1"]));
        assert_eq!(asked(Some("gpu:1".into()), &[]).unwrap().as_deref(), Some("gpu:1"));
    }

    #[test]
    fn a_mistake_in_the_environment_names_it() {
        let error = known("voodoo".into()).unwrap_err();
        let text = error.to_string();
        assert!(error.exit_code() == 2 && text.starts_with("FEDGAN_DEVICE=`voodoo`: no device matches"), "{text}");
        assert_eq!(known("cpu".into()).unwrap(), "cpu");
    }
}
