//! The network thread: waits for what is ready or due, and does what the session says.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use sealroute_e2ee::Track;
use sealroute_media::Packetizer;
use sealroute_session::{PublicationId, Session, SubscriptionId};
use sealroute_transport::{Downlink, LinkEvent, Uplink};

use crate::assembly::Assembly;
use crate::callbacks::{Callback, Callbacks};
use crate::command::{Command, Commands};
use crate::links::Wired;
use crate::opening::Target;
use crate::traits::FrameOutlet;
use crate::websocket::{Connected, Incoming};

pub(crate) const WAKER: Token = Token(0);
const SOCKET: Token = Token(1);
pub(crate) const UPLINK: Token = Token(2);
pub(crate) const DOWNLINK: Token = Token(3);
/// So long the last messages may take to leave.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// One own stream, as the network sees it.
#[derive(Default)]
pub(crate) struct OwnStream {
    pub(crate) lines: Vec<(Track, String)>,
    pub(crate) packetizers: BTreeMap<String, Packetizer>,
    pub(crate) is_published: bool,
    pub(crate) is_started: bool,
    pub(crate) waiting: Arc<AtomicUsize>,
}

pub(crate) struct Network {
    pub(crate) session: Session,
    pub(crate) poll: Poll,
    pub(crate) commands: Commands,
    pub(crate) inbox: Receiver<Command>,
    pub(crate) callbacks: Callbacks,
    pub(crate) target: Target,
    pub(crate) start: Instant,
    pub(crate) socket: Option<Connected>,
    /// Of the last attempt to open one.
    pub(crate) attempt: u64,
    pub(crate) local: IpAddr,
    pub(crate) uplink: Option<Wired<Uplink>>,
    pub(crate) downlink: Option<Wired<Downlink>>,
    pub(crate) own: HashMap<PublicationId, OwnStream>,
    /// By m-line of the downlink.
    pub(crate) assemblies: HashMap<String, (SubscriptionId, Option<Assembly>)>,
    pub(crate) is_dropped: bool,
}

/// What a thread needs to begin.
pub(crate) struct Parts {
    pub(crate) session: Session,
    pub(crate) poll: Poll,
    pub(crate) commands: Commands,
    pub(crate) inbox: Receiver<Command>,
    pub(crate) callbacks: Callbacks,
    pub(crate) target: Target,
}

impl Network {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            session: parts.session,
            poll: parts.poll,
            commands: parts.commands,
            inbox: parts.inbox,
            callbacks: parts.callbacks,
            target: parts.target,
            start: Instant::now(),
            socket: None,
            attempt: 0,
            local: Ipv4Addr::UNSPECIFIED.into(),
            uplink: None,
            downlink: None,
            own: HashMap::new(),
            assemblies: HashMap::new(),
            is_dropped: false,
        }
    }

    /// The session's time.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// `begins`: without waiting for a key.
    pub(crate) fn run(mut self, begins: bool) {
        if begins {
            let _ = self.session.connect(self.now());
        } else {
            self.session.require_encryption(self.now());
        }
        let mut events = Events::with_capacity(64);
        while !self.session.is_over() && !self.is_dropped {
            self.do_effects();
            if self.session.is_over() {
                break;
            }
            let timeout = self.timeout();
            if let Err(error) = self.poll.poll(&mut events, Some(timeout))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                break;
            }
            for event in &events {
                self.on_ready(event.token());
            }
            self.take_commands();
            self.on_time();
        }
        self.session.disconnect(self.now());
        self.do_effects();
    }

    fn timeout(&mut self) -> Duration {
        let now = Instant::now();
        let since = now.saturating_duration_since(self.start);
        let session = self.session.deadline().map(|at| at.saturating_sub(since));
        let links = [
            self.uplink
                .as_ref()
                .and_then(|link| crate::links::Transport::deadline(&link.transport)),
            self.downlink
                .as_ref()
                .and_then(|link| crate::links::Transport::deadline(&link.transport)),
        ];
        let links = links
            .into_iter()
            .flatten()
            .map(|at| at.saturating_duration_since(now));
        let assemblies = self.assemblies.values().filter_map(|(_, assembly)| {
            let deadline = assembly.as_ref()?.deadline()?;
            Some(deadline.saturating_sub(since))
        });
        let first = links.chain(session).chain(assemblies).min();
        // Timers of the system are a little early: nothing is asked for twice.
        first.map_or(MAX_WAIT, |wait| {
            (wait + Duration::from_micros(100)).min(MAX_WAIT)
        })
    }

    fn on_ready(&mut self, token: Token) {
        match token {
            SOCKET => self.read_socket(),
            UPLINK => {
                if let Some(link) = &mut self.uplink {
                    link.receive(Instant::now());
                }
            }
            DOWNLINK => {
                if let Some(link) = &mut self.downlink {
                    link.receive(Instant::now());
                }
            }
            _ => {}
        }
        self.after_links();
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        if let Some(link) = &mut self.uplink {
            link.on_time(now);
        }
        if let Some(link) = &mut self.downlink {
            link.on_time(now);
        }
        self.after_links();
        self.assemble_late();
        self.session.poll(self.now());
    }

    // --- the WebSocket -------------------------------------------------------------------------

    pub(crate) fn open_socket(&mut self) {
        self.attempt += 1;
        let (attempt, target, commands) =
            (self.attempt, self.target.clone(), self.commands.clone());
        let opening = move || {
            let opened = crate::opening::open(&target.address, target.ca_file.as_deref());
            commands.send(Command::Socket {
                attempt,
                opened: Box::new(opened),
            });
        };
        let named = std::thread::Builder::new().name("sealroute-open".into());
        if named.spawn(opening).is_err() {
            self.session
                .on_socket_closed(None, "The system has no thread left", self.now());
        }
    }

    pub(crate) fn on_opened(
        &mut self,
        attempt: u64,
        opened: Result<crate::opening::Opened, &'static str>,
    ) {
        if attempt != self.attempt {
            return;
        }
        let now = self.now();
        match opened {
            Ok(opened) => {
                self.local = opened.local;
                if let Ok(socket) = Connected::new(opened, self.poll.registry(), SOCKET) {
                    self.socket = Some(socket);
                    self.session.on_socket_open(now);
                } else {
                    self.session
                        .on_socket_closed(None, "The connection cannot be used", now);
                }
            }
            Err(why) => self.session.on_socket_closed(None, why, now),
        }
        self.do_effects();
        self.read_socket();
    }

    /// Also what arrived with the upgrade.
    fn read_socket(&mut self) {
        loop {
            let Some(socket) = &mut self.socket else {
                return;
            };
            if !socket.flush() {
                self.lose_socket(None);
                return;
            }
            match socket.read() {
                None => return,
                Some(Incoming::Message(bytes)) => {
                    let now = self.now();
                    self.session.on_socket_message(&bytes, now);
                    self.do_effects();
                }
                Some(Incoming::Closed(code)) => {
                    self.lose_socket(code);
                    return;
                }
            }
        }
    }

    pub(crate) fn lose_socket(&mut self, code: Option<u16>) {
        self.close_socket();
        let now = self.now();
        self.session
            .on_socket_closed(code, "The server closed the connection", now);
    }

    pub(crate) fn close_socket(&mut self) {
        // An attempt that is still under way is of no use any more.
        self.attempt += 1;
        if let Some(socket) = self.socket.take() {
            socket.close(self.poll.registry());
        }
    }

    // --- the transports ------------------------------------------------------------------------

    /// What the links have for others.
    pub(crate) fn after_links(&mut self) {
        while let Some(event) = self
            .uplink
            .as_mut()
            .and_then(|link| link.transport.next_event())
        {
            if event == LinkEvent::Connected {
                self.start_all();
            }
        }
        while let Some(mid) = self
            .uplink
            .as_mut()
            .and_then(|link| link.transport.next_key_frame_request())
        {
            let is_its = |own: &OwnStream| own.lines.iter().any(|(_, of)| *of == mid);
            let found = self.own.iter().find(|(_, own)| is_its(own));
            if let Some((publication, _)) = found {
                self.callbacks.tell(Callback::KeyFrameWanted(*publication));
            }
        }
        while self
            .downlink
            .as_mut()
            .and_then(|link| link.transport.next_event())
            .is_some()
        {}
        self.assemble();
    }

    /// Published, and the uplink carries media: their capturers begin.
    pub(crate) fn start_all(&mut self) {
        if !self
            .uplink
            .as_ref()
            .is_some_and(|link| link.transport.is_connected())
        {
            return;
        }
        for (publication, own) in &mut self.own {
            if own.is_published && !std::mem::replace(&mut own.is_started, true) {
                let outlet = FrameOutlet {
                    publication: *publication,
                    commands: self.commands.clone(),
                    waiting: Arc::clone(&own.waiting),
                };
                self.callbacks.tell(Callback::Start(*publication, outlet));
                self.callbacks.tell(Callback::KeyFrameWanted(*publication));
            }
        }
    }
}
