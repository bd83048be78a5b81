//! Keys of secrets, on a thread of their own: each takes a third of a second or more.

use std::sync::mpsc::{Receiver, TryRecvError};

use sealroute_e2ee::{EncryptionSecret, SessionKey};

use crate::command::{Command, Commands};

pub(crate) struct Wanted {
    pub(crate) secret: EncryptionSecret,
    pub(crate) immediate: bool,
}

/// One after the other. What waits together is one change: to the newest secret of these, at once
/// if any of them was to be.
pub(crate) fn run(wanted: &Receiver<Wanted>, session_id: &str, commands: &Commands) {
    while let Ok(mut next) = wanted.recv() {
        loop {
            match wanted.try_recv() {
                Ok(newer) => {
                    let immediate = newer.immediate || next.immediate;
                    next = Wanted {
                        secret: newer.secret,
                        immediate,
                    };
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        let Ok(key) = SessionKey::derive(&next.secret, session_id) else {
            continue;
        };
        let immediate = next.immediate;
        if !commands.send(Command::Key { key, immediate }) {
            return;
        }
    }
}
