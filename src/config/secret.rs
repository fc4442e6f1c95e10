//! The secret of a fleet: read from a file or a variable, never from the command line, which every
//! user of the machine can see. `Debug` hides it. Knows nothing of what is proven with it.

use std::ffi::OsString;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The variable that may hold the secret itself.
pub const VARIABLE: &str = "HOODY_PIPE_CLUSTER_SECRET";

/// Fewer bytes than this can be guessed.
const BYTES_MIN: usize = 16;
/// More than this is some other file.
const BYTES_MAX: usize = 4096;

/// Where container engines put secrets. Nobody but the container sees that folder, so it does not
/// matter who may read its files.
const OF_CONTAINERS: &str = "/run/secrets";

const HOW_TO_MAKE_ONE: &str = "make one with: head -c 32 /dev/urandom | base64 > cluster.secret";

/// What every node of the fleet knows and nobody else.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    bytes: Vec<u8>,
    file: Option<PathBuf>,
    exposed: bool,
}

impl Secret {
    /// Reads it from what was said. A line end behind it is not part of it.
    ///
    /// # Errors
    /// There is none, or two, or it cannot be read, or it is too short or too long. The text says how
    /// to mend it and nothing of the secret.
    pub(super) fn of(file: Option<&Path>, variable: Option<OsString>) -> Result<Self, String> {
        match (file, variable) {
            (Some(_), Some(_)) => Err(format!(
                "the cluster secret is given twice; unset {VARIABLE}, or leave out \
                 --cluster-secret-file"
            )),
            (None, None) => Err(format!(
                "a fleet needs a secret, the same on every node; add --cluster-secret-file FILE or \
                 set {VARIABLE}; {HOW_TO_MAKE_ONE}"
            )),
            (None, Some(value)) => {
                let bytes = measured(value.into_vec(), VARIABLE)?;
                Ok(Self { bytes, file: None, exposed: false })
            }
            (Some(path), None) => {
                let (bytes, about) = read(path).map_err(|error| {
                    let path = path.display();
                    format!("the file {path} of --cluster-secret-file cannot be read: {error}")
                })?;
                let bytes = measured(bytes, &path.display().to_string())?;
                Ok(Self { bytes, file: Some(path.to_owned()), exposed: is_exposed(path, &about) })
            }
        }
    }

    /// The secret itself.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file it was read from; `None`: from the variable.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The file it was read from, if every user of this machine may read that.
    pub fn exposed(&self) -> Option<&Path> {
        self.file().filter(|_| self.exposed)
    }
}

fn read(path: &Path) -> io::Result<(Vec<u8>, Metadata)> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    let about = file.metadata()?;
    // Room for a line end, and one more byte that shows that it is too long.
    file.take(BYTES_MAX as u64 + 3).read_to_end(&mut bytes)?;
    Ok((bytes, about))
}

/// Refuses what is too short or too long; `from` is where it was found.
fn measured(mut bytes: Vec<u8>, from: &str) -> Result<Vec<u8>, String> {
    for end in [b'\n', b'\r'] {
        bytes.pop_if(|last| *last == end);
    }
    match bytes.len() {
        BYTES_MIN..=BYTES_MAX => Ok(bytes),
        ..BYTES_MIN => Err(format!(
            "the cluster secret in {from} has fewer than {BYTES_MIN} bytes; {HOW_TO_MAKE_ONE}"
        )),
        _ => Err(format!("the cluster secret in {from} has more than {BYTES_MAX} bytes")),
    }
}

fn is_exposed(path: &Path, about: &Metadata) -> bool {
    about.permissions().mode() & 0o004 != 0 && !path.starts_with(OF_CONTAINERS)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("file", &self.file).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(value: &str) -> Result<Secret, String> {
        Secret::of(None, Some(value.into()))
    }

    #[test]
    fn a_line_end_is_not_part_of_it_and_its_length_has_bounds() {
        for (value, want) in [
            ("0123456789abcdef", Some("0123456789abcdef")),
            ("0123456789abcdef\n", Some("0123456789abcdef")),
            ("0123456789abcdef\r\n", Some("0123456789abcdef")),
            ("0123456789abcde\n\n", Some("0123456789abcde\n")),
            ("0123456789abcde\n", None),
            ("", None),
            (&"x".repeat(4096), Some(&"x".repeat(4096)[..])),
            (&"x".repeat(4097), None),
        ] {
            let got = said(value).map(|secret| secret.bytes().to_vec());
            assert_eq!(got.ok().as_deref(), want.map(str::as_bytes), "{value:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        let short = said("hunter2").unwrap_err();
        assert!(short.contains(VARIABLE) && short.contains("fewer than 16 bytes"), "{short}");
        assert!(short.contains("head -c 32 /dev/urandom") && !short.contains("hunter2"), "{short}");
        let shown = format!("{:?}", said("0123456789abcdef").unwrap());
        assert!(shown.starts_with("Secret {") && !shown.contains("0123"), "{shown}");
        let none = Secret::of(None, None).unwrap_err();
        assert!(none.contains("--cluster-secret-file FILE") && none.contains(VARIABLE), "{none}");
        let twice = Secret::of(Some(Path::new("/x")), Some("y".into())).unwrap_err();
        assert!(twice.contains("given twice"), "{twice}");
        let missing = Secret::of(Some(Path::new("/nonexistent/s")), None).unwrap_err();
        assert!(missing.contains("/nonexistent/s of --cluster-secret-file cannot be read"));
        let endless = Secret::of(Some(Path::new("/dev/zero")), None).unwrap_err();
        assert!(endless.contains("more than 4096 bytes"), "{endless}");
    }

    #[test]
    fn a_file_that_everybody_may_read_is_told_but_not_in_a_container() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        for (mode, exposed) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
            let secret = Secret::of(Some(file.path()), None).unwrap();
            assert_eq!(secret.exposed().is_some(), exposed, "{mode:o}");
            assert_eq!(
                (secret.bytes(), secret.file()),
                (&b"0123456789abcdef"[..], Some(file.path()))
            );
            let inside = Path::new("/run/secrets/cluster");
            assert!(!is_exposed(inside, &file.as_file().metadata().unwrap()));
        }
    }
}
