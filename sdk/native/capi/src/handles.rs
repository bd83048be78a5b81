//! What a program holds: numbers in the form of pointers, which nobody follows. Each has its kind, its
//! place and its generation, so that one of a deleted object is known for what it is.

use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

use crate::frame::Frame;
use crate::publisher::Publisher;
use crate::session::Session;
use crate::settings::{PublisherSettings, SessionSettings};
use crate::stream::{Connection, Stream};
use crate::subscriber::Subscriber;

const KIND_BITS: u32 = 4;
const PLACE_BITS: u32 = 24;

/// As C sees it.
pub(crate) type Handle = *mut c_void;

pub(crate) enum Object {
    Session(Arc<Session>),
    SessionSettings(Arc<Mutex<SessionSettings>>),
    Publisher(Arc<Publisher>),
    PublisherSettings(Arc<Mutex<PublisherSettings>>),
    Capturer(Arc<Capturer>),
    Subscriber(Arc<Subscriber>),
    Stream(Arc<Stream>),
    Connection(Arc<Connection>),
    Frame(Arc<Frame>),
}

/// A publisher, as its own capturer sees it.
pub(crate) struct Capturer(pub(crate) std::sync::Weak<Publisher>);

/// What can be held.
pub(crate) trait Held: Sized {
    const KIND: usize;
    fn wrap(this: Arc<Self>) -> Object;
    fn of(object: &Object) -> Option<&Arc<Self>>;
}

macro_rules! held {
    ($($number:literal $variant:ident $name:ty;)*) => {$(
        impl Held for $name {
            const KIND: usize = $number;
            fn wrap(this: Arc<Self>) -> Object {
                Object::$variant(this)
            }
            fn of(object: &Object) -> Option<&Arc<Self>> {
                match object {
                    Object::$variant(this) => Some(this),
                    _ => None,
                }
            }
        }
    )*};
}

held! {
    1 Session Session;
    2 SessionSettings Mutex<SessionSettings>;
    3 Publisher Publisher;
    4 PublisherSettings Mutex<PublisherSettings>;
    5 Capturer Capturer;
    6 Subscriber Subscriber;
    7 Stream Stream;
    8 Connection Connection;
    9 Frame Frame;
}

struct Place {
    generation: u32,
    object: Option<Object>,
}

struct Table {
    places: Vec<Place>,
    free: Vec<usize>,
}

static TABLE: Mutex<Table> = Mutex::new(Table {
    places: Vec::new(),
    free: Vec::new(),
});

fn with<T>(work: impl FnOnce(&mut Table) -> T) -> T {
    // Nothing in here calls anything that could have left it half changed.
    work(&mut TABLE.lock().unwrap_or_else(PoisonError::into_inner))
}

fn number(kind: usize, place: usize, generation: u32) -> usize {
    ((generation as usize) << PLACE_BITS | place) << KIND_BITS | kind
}

fn parts(number: usize) -> (usize, usize, u32) {
    let kind = number & ((1 << KIND_BITS) - 1);
    let place = number >> KIND_BITS & ((1 << PLACE_BITS) - 1);
    (kind, place, (number >> KIND_BITS >> PLACE_BITS) as u32)
}

/// NULL if there are too many.
pub(crate) fn insert<T: Held>(object: Arc<T>) -> Handle {
    with(|table| {
        let at = match table.free.pop() {
            Some(at) => at,
            None if table.places.len() >> PLACE_BITS == 0 => {
                table.places.push(Place {
                    generation: 0,
                    object: None,
                });
                table.places.len() - 1
            }
            None => return std::ptr::null_mut(),
        };
        let place = &mut table.places[at];
        // A generation begins at 1: no handle is NULL.
        place.generation += 1;
        place.object = Some(T::wrap(object));
        number(T::KIND, at, place.generation) as Handle
    })
}

/// None for NULL, another kind, and what was deleted.
pub(crate) fn get<T: Held>(handle: Handle) -> Option<Arc<T>> {
    let (kind, at, generation) = parts(handle as usize);
    with(|table| {
        let place = table.places.get(at)?;
        let is_it = kind == T::KIND && place.generation == generation;
        let object = place.object.as_ref().filter(|_| is_it)?;
        T::of(object).cloned()
    })
}

/// The object, if it was there: from now on its handle is of no use.
pub(crate) fn remove<T: Held>(handle: Handle) -> Option<Arc<T>> {
    let found = get::<T>(handle)?;
    // What is dropped may have handles of its own: not under the lock.
    take(handle as usize).map(|_| found)
}

/// Whatever it is.
pub(crate) fn close(handle: usize) {
    drop(take(handle));
}

fn take(handle: usize) -> Option<Object> {
    let (kind, at, generation) = parts(handle);
    with(|table| {
        let place = table.places.get_mut(at)?;
        let is_it = place.generation == generation && kind != 0;
        let object = is_it.then(|| place.object.take()).flatten()?;
        if generation < u32::MAX {
            table.free.push(at);
        }
        Some(object)
    })
}

/// Of all objects of a kind.
pub(crate) fn all<T: Held>() -> Vec<Handle> {
    with(|table| {
        let places = table.places.iter().enumerate();
        let handles = places.filter_map(|(at, place)| {
            let object = place.object.as_ref()?;
            T::of(object).map(|_| number(T::KIND, at, place.generation) as Handle)
        });
        handles.collect()
    })
}

/// A handle that ends with its owner, or with the callback that is given it.
pub(crate) struct Lent(usize);

impl Lent {
    pub(crate) fn new<T: Held>(object: Arc<T>) -> Self {
        Self(insert(object) as usize)
    }

    pub(crate) fn handle(&self) -> Handle {
        self.0 as Handle
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        close(self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Lent, get, insert, remove};
    use crate::frame::Frame;
    use crate::stream::Connection;

    #[test]
    fn a_handle_is_of_use_while_its_object_lives_and_for_its_kind_alone() {
        let handle = insert(Arc::new(Connection::named("a", "s")));
        assert!(get::<Connection>(handle).is_some());
        assert!(get::<Frame>(handle).is_none());
        assert!(remove::<Frame>(handle).is_none());
        assert!(remove::<Connection>(handle).is_some());
        assert!(remove::<Connection>(handle).is_none());
        let other = insert(Arc::new(Connection::named("b", "s")));
        assert!(get::<Connection>(handle).is_none());
        for bad in [0_usize, 1, 8, usize::MAX, 0xDEAD_BEEF, handle as usize + 1] {
            assert!(get::<Connection>(bad as _).is_none(), "{bad:x}");
        }
        assert!(remove::<Connection>(other).is_some());
        let lent = Lent::new(Arc::new(Connection::named("c", "s")));
        let handle = lent.handle();
        assert!(get::<Connection>(handle).is_some());
        drop(lent);
        assert!(get::<Connection>(handle).is_none());
    }
}
