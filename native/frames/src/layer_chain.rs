//! Which pictures of VP8, and of VP9 without listed references, have intact references after a
//! loss.

/// More temporal layers than any encoder has.
const ALL_LAYERS: u8 = 8;

/// What a picture says of itself outside of its bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Picture {
    /// It depends on nothing.
    pub(crate) key: bool,
    /// Its number, and whether that has 15 bits.
    pub(crate) id: Option<(u16, bool)>,
    /// The number of the lowest temporal layer's latest picture.
    pub(crate) tl0: Option<u8>,
    /// Its temporal layer.
    pub(crate) temporal: u8,
    /// It depends on the lowest temporal layer alone (VP8).
    pub(crate) sync: bool,
    /// After it, pictures of higher layers depend on nothing earlier of those (VP9).
    pub(crate) opens: bool,
}

impl Picture {
    fn follows(&self, before: (u16, bool)) -> bool {
        let Some((id, wide)) = self.id else {
            return false;
        };
        let mask = if wide && before.1 { 0x7FFF } else { 0x7F };
        id & mask == before.0.wrapping_add(1) & mask
    }
}

/// What is known of the pictures before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LayerChain {
    last_id: Option<(u16, bool)>,
    last_tl0: Option<u8>,
    /// Temporal layers below this one have everything that their next picture may depend on.
    intact: u8,
}

impl LayerChain {
    /// Whether all that `picture` depends on was kept. `lost`: packets are missing since the last
    /// whole picture.
    pub(crate) fn accept(&mut self, picture: &Picture, lost: bool) -> bool {
        if picture.key {
            self.intact = ALL_LAYERS;
        } else if lost && !self.last_id.is_some_and(|before| picture.follows(before)) {
            self.narrow(picture);
        }
        self.last_id = picture.id;
        let accepted = picture.temporal < self.intact || (self.intact > 0 && picture.sync);
        if accepted {
            self.widen(picture);
        }
        accepted
    }

    /// Only a key frame helps.
    pub(crate) fn broken(self) -> bool {
        self.intact == 0
    }

    /// The lowest layer stays if no picture of it is missing; of higher ones nothing is known.
    fn narrow(&mut self, picture: &Picture) {
        let step = u8::from(picture.temporal == 0);
        let base = self.last_tl0.map(|before| before.wrapping_add(step));
        let unbroken = picture.tl0.is_some() && picture.tl0 == base;
        self.intact = if unbroken { self.intact.min(1) } else { 0 };
    }

    fn widen(&mut self, picture: &Picture) {
        if picture.temporal == 0 {
            self.last_tl0 = picture.tl0;
        }
        if picture.opens {
            self.intact = ALL_LAYERS;
        } else if picture.sync && picture.temporal == self.intact {
            self.intact += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LayerChain, Picture};

    fn picture(id: u16, tl0: u8, temporal: u8) -> Picture {
        Picture {
            id: Some((id, true)),
            tl0: Some(tl0),
            temporal,
            ..Picture::default()
        }
    }

    fn after_key() -> LayerChain {
        let mut chain = LayerChain::default();
        let key = Picture {
            key: true,
            ..picture(0x7FFF, 255, 0)
        };
        assert!(chain.accept(&key, false));
        chain
    }

    #[test]
    fn nothing_is_accepted_before_a_key_frame() {
        let mut chain = LayerChain::default();
        assert!(!chain.accept(&picture(1, 1, 0), false));
        assert!(chain.broken());
    }

    #[test]
    fn a_loss_between_pictures_with_successive_numbers_took_no_picture() {
        let mut chain = after_key();
        assert!(chain.accept(&picture(0, 0, 0), true));
        assert!(chain.accept(&picture(1, 0, 2), true));
        assert!(!chain.broken());
    }

    #[test]
    fn a_missing_picture_without_layers_breaks_all_until_a_key_frame() {
        let mut chain = after_key();
        let plain = |id| Picture {
            id: Some((id, true)),
            ..Picture::default()
        };
        assert!(!chain.accept(&plain(1), true));
        assert!(!chain.accept(&plain(2), false));
        assert!(chain.broken());
        let key = Picture {
            key: true,
            ..plain(3)
        };
        assert!(chain.accept(&key, true));
        assert!(chain.accept(&plain(4), false));
    }

    #[test]
    fn a_missing_picture_of_a_higher_layer_leaves_the_lowest_intact() {
        let mut chain = after_key();
        assert!(chain.accept(&picture(0, 255, 2), false));
        // The picture with the number 1 and layer 1 is missing.
        assert!(!chain.accept(&picture(2, 255, 2), true));
        assert!(!chain.broken());
        assert!(chain.accept(&picture(3, 0, 0), false));
        assert!(!chain.accept(&picture(4, 0, 2), false));
        let sync = Picture {
            sync: true,
            ..picture(5, 0, 1)
        };
        assert!(chain.accept(&sync, false));
        assert!(!chain.accept(&picture(6, 0, 2), false));
        assert!(chain.accept(&picture(7, 1, 0), false));
        assert!(chain.accept(&picture(8, 1, 1), false));
    }

    #[test]
    fn a_missing_picture_of_the_lowest_layer_breaks_all() {
        let mut chain = after_key();
        assert!(!chain.accept(&picture(1, 1, 0), true));
        assert!(chain.broken());
    }

    #[test]
    fn a_switching_point_opens_the_higher_layers() {
        let mut chain = after_key();
        let opening = Picture {
            opens: true,
            ..picture(4, 0, 0)
        };
        assert!(chain.accept(&opening, true));
        assert!(chain.accept(&picture(5, 0, 2), false));
    }
}
