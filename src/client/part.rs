//! A file that may be half: its name, and the lock that keeps it to one process. Knows nothing of what
//! is in it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

/// How often a file is opened anew because another process has just renamed or removed it.
const TRIES: usize = 10;

/// `FILE.part`, locked. Dropping it gives the lock back, and removes the file if it is empty.
pub struct Part {
    file: File,
    path: PathBuf,
    named: bool,
}

impl Part {
    /// Makes or opens `path.part`, and locks it.
    ///
    /// # Errors
    /// A sentence: it cannot be written, another process has it, or it is a link or no file.
    pub fn open(path: &Path) -> Result<Self, String> {
        let mut part = OsString::from(path);
        part.push(".part");
        let path = PathBuf::from(part);
        let shown = path.display();
        let wrong = |error| format!("{shown} cannot be written: {error}");
        for _ in 0..TRIES {
            let file = opened(&path).map_err(wrong)?;
            let about = file.metadata().map_err(wrong)?;
            if !about.is_file() || about.nlink() > 1 {
                return Err(format!("{shown} is there and no file of its own: remove it"));
            }
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => {
                    return Err(format!(
                        "another receive writes {shown}; let it end, or name another file with -o"
                    ));
                }
                Err(error) => return Err(format!("{shown} cannot be locked: {error}")),
                Ok(()) => {}
            }
            // Who had the lock before may have renamed the file, or removed it.
            let now = fs::symlink_metadata(&path);
            if now.is_ok_and(|now| (now.dev(), now.ino()) == (about.dev(), about.ino())) {
                return Ok(Self { file, path, named: false });
            }
        }
        Err(format!("{shown} is made and removed by others all the time"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, to be written to.
    ///
    /// # Errors
    /// Too many files are open.
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Whether anything is in it.
    pub fn is_something(&self) -> bool {
        self.file.metadata().is_ok_and(|about| about.len() > 0)
    }

    /// Gives it its final name.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub fn name(&mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.named = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.named && !self.is_something() {
            // Still locked, so it is ours. Somebody else may have removed it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A link is not followed, and a FIFO is not waited for.
fn opened(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut how = File::options();
    let opened = how.write(true).create(true).truncate(false).custom_flags(flags).open(path);
    match opened {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            Err(io::Error::other("it is a link; remove it"))
        }
        opened => opened,
    }
}
