//! Where the bytes of a download go: stdout, a device, or a file that gets its name only when it is
//! whole. Knows nothing of HTTP.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{self, File};
use tokio::io::{AsyncWriteExt, Stdout};

use super::part::Part;

/// Links to links that are followed, as many as the kernel follows.
const LINKS_MAX: usize = 40;

/// Where the bytes go. Dropping a file leaves what has come under its `.part` name.
pub enum Sink {
    /// Somebody reads along.
    Stdout(Stdout),
    /// Something that is there and no regular file: a device, a FIFO. It is written to as it is.
    Direct(File, PathBuf),
    /// A file: first `FILE.part`, then FILE.
    File {
        /// Open for writing.
        file: File,
        /// Its name while it may be half.
        part: Part,
        /// Its name when it is whole.
        path: PathBuf,
    },
}

impl Sink {
    /// Makes or opens `FILE.part` and keeps others out of it, or opens what is no regular file, or
    /// takes stdout. What is in the part stays there until [`Sink::begin`].
    ///
    /// # Errors
    /// A sentence: it cannot be written to, or another receive writes it.
    pub async fn open(output: Option<&Path>) -> Result<Self, String> {
        let Some(path) = output else { return Ok(Self::Stdout(tokio::io::stdout())) };
        let wrong = |error| format!("{} cannot be written: {error}", path.display());
        match fs::metadata(path).await {
            Ok(about) if !about.is_file() => {
                // A FIFO opens when somebody reads it.
                let file = File::options().write(true).open(path).await.map_err(wrong)?;
                Ok(Self::Direct(file, path.to_owned()))
            }
            _ => {
                let path = resolved(path).map_err(wrong)?;
                let part = Part::open(&path)?;
                let file = File::from_std(part.file().map_err(wrong)?);
                Ok(Self::File { file, part, path })
            }
        }
    }

    /// Empties what an earlier try may have left: now something comes.
    ///
    /// # Errors
    /// A sentence.
    pub async fn begin(&mut self) -> Result<(), String> {
        let Self::File { file, .. } = self else { return Ok(()) };
        file.set_len(0).await.map_err(|error| self.unwritable(&error))
    }

    /// Writes a piece; to all but a file, at once.
    ///
    /// # Errors
    /// A sentence: the disk is full, or nobody reads.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), String> {
        let written = match self {
            Self::Stdout(stdout) => at_once(stdout, piece).await,
            Self::Direct(file, _) => at_once(file, piece).await,
            Self::File { file, .. } => file.write_all(piece).await,
        };
        written.map_err(|error| self.unwritable(&error))
    }

    /// Gives a file its name.
    ///
    /// # Errors
    /// A sentence: it could not be written to the end; then it keeps its `.part` name.
    pub async fn finish(mut self) -> Result<(), String> {
        let named = match &mut self {
            Self::Stdout(_) => Ok(()),
            Self::Direct(file, _) => match file.sync_all().await {
                // Only disks have something to make durable.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
                synced => synced,
            },
            Self::File { file, part, path } => named(file, part, path).await,
        };
        named.map_err(|error| self.unwritable(&error))
    }

    /// Leaves a file as it is, and says where; nowhere if nothing has come.
    ///
    /// # Errors
    /// A sentence: what came last could not be written.
    pub async fn leave(mut self) -> Result<Option<PathBuf>, String> {
        let Self::File { file, part, .. } = &mut self else { return Ok(None) };
        match file.flush().await {
            Ok(()) => Ok(part.is_something().then(|| part.path().to_owned())),
            Err(error) => Err(self.unwritable(&error)),
        }
    }

    fn unwritable(&self, error: &io::Error) -> String {
        match self {
            Self::Stdout(_) => format!("stdout cannot be written: {error}"),
            Self::Direct(_, path) => format!("{} cannot be written: {error}", path.display()),
            Self::File { part, .. } => {
                format!("{} cannot be written: {error}", part.path().display())
            }
        }
    }
}

async fn at_once(to: &mut (impl AsyncWriteExt + Unpin), piece: &[u8]) -> io::Result<()> {
    to.write_all(piece).await?;
    to.flush().await
}

async fn named(file: &mut File, part: &mut Part, path: &Path) -> io::Result<()> {
    file.flush().await?;
    // First the bytes, then the name: a crash in between must not show half a file.
    file.sync_all().await?;
    part.name(path)
}

/// What a link leads to, whether it is there yet or not; so that not the link is replaced.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match std::fs::read_link(&path) {
            Ok(to) => path = path.parent().unwrap_or(Path::new("")).join(to),
            // No link, or nothing yet.
            Err(_) => return Ok(path),
        }
    }
    Err(rustix::io::Errno::LOOP.into())
}
