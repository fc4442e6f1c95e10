//! The environment: variables with our prefix that mean nothing are refused with a suggestion, like
//! the keys of the file. Knows no values; those are read with the flags.

use super::error::{Error, Fault};
use super::file::nearest;
use super::secret;
use super::settings::Settings;

/// What all our variables begin with.
const PREFIX: &str = "HOODY_PIPE_";

/// Variables of this program's test suite, which all it starts inherits.
const OF_TESTS: [&str; 2] = ["HOODY_PIPE_BIN", "HOODY_PIPE_FULL"];

/// Refuses the first of these variables that looks like ours and is not.
///
/// # Errors
/// There is one; the text says what is meant instead, or what there is.
pub(super) fn check(names: impl Iterator<Item = String>) -> Result<(), Error> {
    let known = known();
    let strange = |name: &String| {
        let ours = name.starts_with(PREFIX) && !known.contains(name);
        ours && !OF_TESTS.contains(&name.as_str()) && !is_of_orchestrator(name)
    };
    // The environment has no order; the text is the same each time.
    let Some(name) = names.filter(strange).min() else { return Ok(()) };
    // Without what they have in common, which would make all of them alike.
    let bare = |name: &str| name.trim_start_matches(PREFIX).to_owned();
    let all: Vec<String> = known.iter().map(|name| bare(name)).collect();
    let advice = match nearest(&bare(&name), &all) {
        Some(meant) => format!("did you mean {PREFIX}{meant}?"),
        None => format!("the variables are {}", known.join(", ")),
    };
    Err(Error::new(Fault::Unknown, &format!("unknown variable {name}; {advice}")))
}

fn known() -> Vec<String> {
    let keys = Settings::keys().into_iter().chain(["config".to_owned()]);
    let keys = keys.map(|key| format!("{PREFIX}{}", key.to_uppercase()));
    keys.chain([secret::VARIABLE.to_owned()]).collect()
}

/// Kubernetes and Docker tell each container where services are: for one called `hoody-pipe` in
/// variables such as `HOODY_PIPE_SERVICE_HOST` and `HOODY_PIPE_PORT_8080_TCP_ADDR`.
fn is_of_orchestrator(name: &str) -> bool {
    let service = name.contains("_SERVICE_HOST") || name.contains("_SERVICE_PORT");
    let link = name.contains("_PORT_") || name.contains("_ENV_");
    service || link || name.ends_with("_PORT") || name == "HOODY_PIPE_NAME"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(names: &[&str]) -> Option<String> {
        let error = check(names.iter().map(|name| (*name).to_owned())).err()?;
        assert_eq!(error.exit_code(), 2);
        Some(error.to_string())
    }

    #[test]
    fn what_is_known_or_not_ours_passes() {
        for name in [
            "HOODY_PIPE_WAIT",
            "HOODY_PIPE_CONFIG",
            "HOODY_PIPE_MAX_PENDING",
            "HOODY_PIPE_CLUSTER_SECRET",
        ] {
            assert_eq!(refused(&[name, "PATH", "HOODY", "HOODY_PIPER"]), None, "{name}");
        }
        for name in [
            "HOODY_PIPE_SERVICE_HOST",
            "HOODY_PIPE_SERVICE_PORT_HTTP",
            "HOODY_PIPE_PORT",
            "HOODY_PIPE_PORT_8080_TCP_ADDR",
            "HOODY_PIPE_ADMIN_SERVICE_HOST",
            "HOODY_PIPE_ADMIN_PORT",
        ] {
            assert_eq!(refused(&[name]), None, "{name}");
        }
    }

    #[test]
    fn what_is_misspelt_or_unknown_is_refused() {
        for (name, want) in [
            ("HOODY_PIPE_WIAT", "unknown variable HOODY_PIPE_WIAT; did you mean HOODY_PIPE_WAIT?"),
            ("HOODY_PIPE_MAX_PENDINGS", "did you mean HOODY_PIPE_MAX_PENDING?"),
            ("HOODY_PIPE_CLUSTER_SECRETS", "did you mean HOODY_PIPE_CLUSTER_SECRET?"),
            ("HOODY_PIPE_ZZZ", "the variables are HOODY_PIPE_LISTEN, HOODY_PIPE_TLS_LISTEN, "),
        ] {
            let said = refused(&["HOODY_PIPE_WAIT", name]).unwrap_or_default();
            assert!(said.contains(want), "{said}");
        }
    }
}
