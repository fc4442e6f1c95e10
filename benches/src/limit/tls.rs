//! The cost of encryption alone: each byte decrypted once, encrypted for each receiver, and written.
//! Knows nothing of the meeting, and of HTTP only where a head ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{HEAD_MAX, Meeting, Party, end_of_head};

/// Bytes between two writes to the same receiver.
const BLOCK: usize = 256 << 10;

/// A connection through TLS.
type Tls = StreamOwned<ServerConnection, TcpStream>;

/// What a server with this certificate needs.
pub(super) fn config(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// Shakes hands and reads the head of a request.
pub(super) fn accept(socket: TcpStream, config: &Arc<ServerConfig>) -> Result<Party<Tls>> {
    let connection = ServerConnection::new(config.clone())?;
    let mut socket = StreamOwned::new(connection, socket);
    let (mut bytes, mut len) = ([0; HEAD_MAX], 0);
    while end_of_head(&bytes[..len]).is_none() {
        let got = socket.read(&mut bytes[len..])?;
        if got == 0 {
            bail!("no head of a request");
        }
        len += got;
    }
    if end_of_head(&bytes[..len]) != Some(len) {
        bail!("a body that came with its head");
    }
    Ok(Party { socket, head: String::from_utf8_lossy(&bytes[..len]).into_owned() })
}

/// Moves the body, one receiver after the other: the driver takes from all of them.
pub(super) fn relay(meeting: &mut Meeting<Tls>) -> Result<()> {
    let mut block = vec![0; BLOCK];
    let mut left = meeting.size;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK);
        let got = meeting.sender.read(&mut block[..most])?;
        if got == 0 {
            bail!("the sender left");
        }
        for receiver in &mut meeting.receivers {
            receiver.write_all(&block[..got])?;
        }
        left -= got as u64;
    }
    for receiver in &mut meeting.receivers {
        receiver.conn.send_close_notify();
        receiver.flush()?;
    }
    Ok(())
}
