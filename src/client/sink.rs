//! Where the bytes of a download go: stdout, or a file that gets its name only when it is whole.
//! Knows nothing of HTTP.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{self, File};
use tokio::io::{AsyncWriteExt, Stdout};

/// Where the bytes go. Dropping a file leaves what has come under its `.part` name.
pub enum Sink {
    /// Somebody reads along.
    Stdout(Stdout),
    /// First `part`, then `path`.
    File {
        /// Open for writing.
        file: File,
        /// Its name while it may be half.
        part: PathBuf,
        /// Its name when it is whole.
        path: PathBuf,
    },
}

impl Sink {
    /// Makes an empty `FILE.part`, or takes stdout.
    ///
    /// # Errors
    /// The file cannot be made.
    pub async fn open(output: Option<&Path>) -> io::Result<Self> {
        let Some(path) = output else { return Ok(Self::Stdout(tokio::io::stdout())) };
        let mut part = OsString::from(path);
        part.push(".part");
        let part = PathBuf::from(part);
        Ok(Self::File { file: File::create(&part).await?, part, path: path.to_owned() })
    }

    /// Writes a piece; to stdout, at once.
    ///
    /// # Errors
    /// The disk is full, or nobody reads.
    pub async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => {
                stdout.write_all(piece).await?;
                stdout.flush().await
            }
            Self::File { file, .. } => file.write_all(piece).await,
        }
    }

    /// Gives a file its name.
    ///
    /// # Errors
    /// It could not be written to the end; then it keeps its `.part` name.
    pub async fn finish(self) -> io::Result<()> {
        let Self::File { mut file, part, path } = self else { return Ok(()) };
        file.flush().await?;
        // First the bytes, then the name: a crash in between must not show half a file.
        file.sync_all().await?;
        fs::rename(&part, &path).await
    }

    /// Leaves a file as it is, and says where.
    ///
    /// # Errors
    /// What came last could not be written.
    pub async fn leave(self) -> io::Result<Option<PathBuf>> {
        let Self::File { mut file, part, .. } = self else { return Ok(None) };
        file.flush().await?;
        Ok(Some(part))
    }
}
