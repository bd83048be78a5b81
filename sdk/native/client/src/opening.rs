//! A WebSocket from nothing, on a thread of its own: names, TCP, TLS and the upgrade take their
//! time, and media does not wait for them.

use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sealroute_rules::{MAX_MESSAGE_BYTES, OPEN_TIMEOUT, SUBPROTOCOL};
use tungstenite::ClientRequestBuilder;
use tungstenite::WebSocket;
use tungstenite::protocol::WebSocketConfig;

use crate::address::Address;

/// TCP, or TLS over it.
pub(crate) enum Stream {
    Plain(TcpStream),
    Secure(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Secure(tls) => &tls.sock,
        }
    }
}

impl std::io::Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Secure(tls) => tls.read(buffer),
        }
    }
}

impl std::io::Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Secure(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Secure(tls) => tls.flush(),
        }
    }
}

/// An open WebSocket that does not block.
pub(crate) struct Opened {
    pub(crate) socket: WebSocket<Stream>,
    /// The way to the server begins there.
    pub(crate) local: IpAddr,
}

/// Takes at most a few times [`OPEN_TIMEOUT`]. Errors: for people.
pub(crate) fn open(address: &Address, ca_file: Option<&Path>) -> Result<Opened, &'static str> {
    let tcp = connect(address)?;
    let local = tcp
        .local_addr()
        .map_err(|_| "The connection has no address")?
        .ip();
    let patience = Some(OPEN_TIMEOUT);
    let is_patient = tcp
        .set_read_timeout(patience)
        .and(tcp.set_write_timeout(patience));
    is_patient
        .and(tcp.set_nodelay(true))
        .map_err(|_| "The connection cannot be set up")?;
    let stream = if address.is_secure {
        Stream::Secure(Box::new(secure(address, tcp, ca_file)?))
    } else {
        Stream::Plain(tcp)
    };
    let socket = upgrade(address, stream)?;
    let tcp = socket.get_ref().tcp();
    let is_free = tcp.set_read_timeout(None).and(tcp.set_write_timeout(None));
    is_free
        .and(tcp.set_nonblocking(true))
        .map_err(|_| "The connection cannot be set up")?;
    Ok(Opened { socket, local })
}

fn connect(address: &Address) -> Result<TcpStream, &'static str> {
    let found = (address.host.as_str(), address.port).to_socket_addrs();
    let found: Vec<_> = found
        .map_err(|_| "The server's name is not known")?
        .collect();
    let each = OPEN_TIMEOUT / found.len().clamp(1, 4) as u32;
    let mut streams = found
        .iter()
        .map(|at| TcpStream::connect_timeout(at, each.max(SOON)));
    streams
        .find_map(Result::ok)
        .ok_or("The server cannot be reached")
}

const SOON: Duration = Duration::from_secs(2);

fn secure(
    address: &Address,
    mut tcp: TcpStream,
    ca_file: Option<&Path>,
) -> Result<StreamOwned<ClientConnection, TcpStream>, &'static str> {
    let config = ClientConfig::builder()
        .with_root_certificates(roots(ca_file)?)
        .with_no_client_auth();
    let name = ServerName::try_from(address.host.clone());
    let name = name.map_err(|_| "The server's name cannot have a certificate")?;
    let connection = ClientConnection::new(Arc::new(config), name);
    let mut connection = connection.map_err(|_| "TLS cannot be used")?;
    while connection.is_handshaking() {
        connection
            .complete_io(&mut tcp)
            .map_err(|_| "The server's certificate is not trusted, or TLS failed")?;
    }
    Ok(StreamOwned::new(connection, tcp))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, &'static str> {
    const UNREAD: &str = "The file of certificates cannot be read";
    let certificates: Vec<CertificateDer<'static>> = match ca_file {
        Some(path) => {
            let found = CertificateDer::pem_file_iter(path).map_err(|_| UNREAD)?;
            found.collect::<Result<_, _>>().map_err(|_| UNREAD)?
        }
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates);
    if added == 0 {
        return Err("There are no certificates that could be trusted");
    }
    Ok(store)
}

fn upgrade(address: &Address, stream: Stream) -> Result<WebSocket<Stream>, &'static str> {
    let uri = address
        .uri()
        .parse()
        .map_err(|_| "The URL of the server is not a URL")?;
    let request = ClientRequestBuilder::new(uri).with_sub_protocol(SUBPROTOCOL);
    let most = Some(MAX_MESSAGE_BYTES as usize);
    let config = WebSocketConfig::default()
        .max_message_size(most)
        .max_frame_size(most);
    let upgraded = tungstenite::client::client_with_config(request, stream, Some(config));
    let (socket, response) =
        upgraded.map_err(|_| "The server does not speak this client's protocol")?;
    let chosen = response.headers().get("Sec-WebSocket-Protocol");
    if chosen.is_none_or(|chosen| chosen.as_bytes() != SUBPROTOCOL.as_bytes()) {
        return Err("The server does not speak this client's protocol");
    }
    Ok(socket)
}

/// What an attempt needs.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: Address,
    pub(crate) ca_file: Option<PathBuf>,
}
