//! Which session a publisher or subscriber belongs to: commands name them by handle alone.
//!
//! The session owns what exists in it and how it is related. The index repeats none of that: after
//! a command that may end something, it forgets the handles that the session does not know any
//! more.

use sealroute_forward::{PublisherHandle, SessionRouter, SubscriberHandle};

use crate::api::RouterHandle;
use crate::handles::HandleMap;

/// The session of every publisher and subscriber of the worker.
#[derive(Default)]
pub(crate) struct SessionIndex {
    publishers: HandleMap<PublisherHandle, RouterHandle>,
    subscribers: HandleMap<SubscriberHandle, RouterHandle>,
}

impl SessionIndex {
    pub(crate) fn of_publisher(&self, publisher: PublisherHandle) -> Option<RouterHandle> {
        self.publishers.get(&publisher).copied()
    }

    pub(crate) fn of_subscriber(&self, subscriber: SubscriberHandle) -> Option<RouterHandle> {
        self.subscribers.get(&subscriber).copied()
    }

    pub(crate) fn add_publisher(&mut self, publisher: PublisherHandle, router: RouterHandle) {
        self.publishers.insert(publisher, router);
    }

    pub(crate) fn add_subscriber(&mut self, subscriber: SubscriberHandle, router: RouterHandle) {
        self.subscribers.insert(subscriber, router);
    }

    /// Forgets what has ended in a session.
    pub(crate) fn forget_ended(&mut self, router: RouterHandle, session: &SessionRouter) {
        self.publishers
            .retain(|&one, &mut of| of != router || session.has_publisher(one));
        self.subscribers
            .retain(|&one, &mut of| of != router || session.has_subscriber(one));
    }

    pub(crate) fn publishers(&self) -> usize {
        self.publishers.len()
    }

    pub(crate) fn subscribers(&self) -> usize {
        self.subscribers.len()
    }
}
