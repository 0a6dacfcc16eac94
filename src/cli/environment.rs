//! Environment variables. `FEDGAN_DEVICE` selects the device if neither the command line nor an axis of a sweep does; it
//! overrides the plan's key. `FEDGAN_TUNING=off` disables tuning files.

use crate::{Error, Result};

/// The variable that selects the device.
pub const DEVICE: &str = "FEDGAN_DEVICE";
/// The variable that disables tuning files if it is `off`.
const TUNING: &str = "FEDGAN_TUNING";

/// Whether tuning files are used.
///
/// # Errors
/// A value of the variable other than `on` or `off`.
pub fn tuning() -> Result<bool> {
    is_on(&std::env::var_os(TUNING).unwrap_or_default().to_string_lossy())
}

fn is_on(value: &str) -> Result<bool> {
    match value {
        "" | "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Error::input(format!("{TUNING}=`{value}`: must be on or off"))),
    }
}

/// The device that the environment requests; `None` if the variable is unset or empty.
///
/// # Errors
/// A value that is not valid Unicode.
pub fn device() -> Result<Option<String>> {
    match std::env::var(DEVICE) {
        Ok(value) => Ok(Some(value).filter(|value| !value.trim().is_empty())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Error::input(format!("{DEVICE}: its value is not valid Unicode")))
        }
    }
}

/// The device for a command line with `--device` `given` and these `--set` assignments.
///
/// # Errors
/// The environment requests a device that does not exist.
pub fn asked(given: Option<String>, set: &[String]) -> Result<Option<String>> {
    match given.is_some() || sets_device(set) {
        true => Ok(given),
        false => device()?.map(known).transpose(),
    }
}

/// An error in the environment's value names the variable, not the plan's key that it replaces.
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

    #[test]
    fn tuning_is_on_or_off() {
        assert!(is_on("").unwrap() && is_on("on").unwrap() && !is_on("off").unwrap());
        let error = is_on("0").unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("FEDGAN_TUNING=`0`: must be on or off"));
    }
}
