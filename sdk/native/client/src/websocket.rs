//! One open WebSocket, which never blocks.

use std::io::ErrorKind;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use tungstenite::{Error, Message, WebSocket};

use crate::opening::{Opened, Stream};

/// What came of it.
pub(crate) enum Incoming {
    Message(Vec<u8>),
    /// With the code of a close frame, if there was one.
    Closed(Option<u16>),
}

pub(crate) struct Connected {
    socket: WebSocket<Stream>,
    /// The same TCP connection, to wait for.
    watched: TcpStream,
    is_behind: bool,
    is_over: bool,
}

impl Connected {
    pub(crate) fn new(opened: Opened, registry: &Registry, token: Token) -> std::io::Result<Self> {
        let copy = opened.socket.get_ref().tcp().try_clone()?;
        let mut watched = TcpStream::from_std(copy);
        registry.register(&mut watched, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            socket: opened.socket,
            watched,
            is_behind: false,
            is_over: false,
        })
    }

    /// False: it is lost.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = self.socket.send(Message::binary(bytes.to_vec()));
        self.take(sent)
    }

    /// What waits for room leaves, if there is some. False: it is lost.
    pub(crate) fn flush(&mut self) -> bool {
        if !self.is_behind {
            return true;
        }
        let flushed = self.socket.flush();
        self.take(flushed)
    }

    fn take(&mut self, sent: Result<(), Error>) -> bool {
        match sent {
            Ok(()) => {
                self.is_behind = false;
                true
            }
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                self.is_behind = true;
                true
            }
            Err(_) => false,
        }
    }

    /// None: nothing more for now.
    pub(crate) fn read(&mut self) -> Option<Incoming> {
        while !self.is_over {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => return Some(Incoming::Message(bytes.to_vec())),
                Ok(Message::Close(frame)) => {
                    self.is_over = true;
                    return Some(Incoming::Closed(frame.map(|frame| frame.code.into())));
                }
                // Text is none of this subprotocol's; pings are answered by themselves.
                Ok(Message::Text(_)) => {
                    self.is_over = true;
                    return Some(Incoming::Closed(None));
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(_) => {
                    self.is_over = true;
                    return Some(Incoming::Closed(None));
                }
            }
        }
        None
    }

    /// Says so to the server, as far as that goes without waiting.
    pub(crate) fn close(mut self, registry: &Registry) {
        let _ = self.socket.close(None);
        let _ = self.socket.flush();
        let _ = registry.deregister(&mut self.watched);
    }
}
