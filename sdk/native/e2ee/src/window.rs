//! Which counters of one key id came (RFC 3711 section 3.3.2).

/// A window of so many counters below the highest one.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// None before the first.
    highest: Option<u32>,
    /// One bit for each counter modulo the width.
    seen: Box<[u64]>,
}

impl Window {
    /// `width` is a multiple of 64.
    pub(crate) fn new(width: u64) -> Self {
        Self {
            highest: None,
            seen: vec![0; width as usize / 64].into(),
        }
    }

    /// Whether a counter may still come.
    pub(crate) fn is_open(&self, counter: u32) -> bool {
        match self.highest {
            Some(highest) if counter <= highest => {
                u64::from(highest - counter) < self.width() && !self.is_seen(counter)
            }
            _ => true,
        }
    }

    /// It came, and its tag verified.
    pub(crate) fn mark(&mut self, counter: u32) {
        match self.highest {
            Some(highest) if counter > highest => self.advance(highest, counter),
            Some(highest) if u64::from(highest - counter) >= self.width() => return,
            Some(_) => {}
            None => self.highest = Some(counter),
        }
        let (word, bit) = self.place(counter);
        self.seen[word] |= bit;
    }

    fn advance(&mut self, from: u32, to: u32) {
        if u64::from(to - from) >= self.width() {
            self.seen.fill(0);
        } else {
            for counter in from + 1..=to {
                let (word, bit) = self.place(counter);
                self.seen[word] &= !bit;
            }
        }
        self.highest = Some(to);
    }

    fn is_seen(&self, counter: u32) -> bool {
        let (word, bit) = self.place(counter);
        self.seen[word] & bit != 0
    }

    fn place(&self, counter: u32) -> (usize, u64) {
        let place = u64::from(counter) % self.width();
        ((place / 64) as usize, 1 << (place % 64))
    }

    fn width(&self) -> u64 {
        self.seen.len() as u64 * 64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::{prop_assert_eq, prop_oneof, proptest};

    use super::Window;

    proptest! {
        #[test]
        fn a_counter_is_open_once_and_within_the_window(
            counters in proptest::collection::vec(
                prop_oneof![0_u32..600, 4_294_967_000_u32..=u32::MAX], 1..300),
        ) {
            let mut window = Window::new(128);
            let mut seen = HashSet::new();
            let mut highest = None;
            for counter in counters {
                let is_new = highest.is_none_or(|top: u32| counter > top || top - counter < 128)
                    && !seen.contains(&counter);
                prop_assert_eq!(window.is_open(counter), is_new);
                if is_new {
                    window.mark(counter);
                    seen.insert(counter);
                    highest = highest.max(Some(counter));
                }
            }
        }
    }
}
