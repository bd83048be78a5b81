//! Connections and streams, as they were when a program was told of them.

use std::ffi::CString;
use std::sync::Arc;

use sealroute_client::{ConnectionInfo, StreamInfo, VideoType};

use crate::handles::Lent;

/// What stands behind a NUL is cut: C's texts end there.
pub(crate) fn c_text(text: &str) -> CString {
    let whole = text.split('\0').next().unwrap_or_default();
    CString::new(whole).unwrap_or_default()
}

pub(crate) struct Connection {
    /// As the server wrote it.
    pub(crate) key: String,
    pub(crate) id: CString,
    pub(crate) created_ms: i64,
    pub(crate) data: CString,
    pub(crate) session_id: CString,
}

impl Connection {
    pub(crate) fn new(info: &ConnectionInfo, session_id: &str) -> Self {
        Self {
            key: info.connection_id.clone(),
            id: c_text(&info.connection_id),
            created_ms: i64::try_from(info.creation_time).unwrap_or_default(),
            data: c_text(info.data.as_deref().unwrap_or_default()),
            session_id: c_text(session_id),
        }
    }

    /// Nothing else is known of it.
    pub(crate) fn named(id: &str, session_id: &str) -> Self {
        let info = ConnectionInfo {
            connection_id: id.to_owned(),
            ..ConnectionInfo::default()
        };
        Self::new(&info, session_id)
    }
}

pub(crate) struct Stream {
    /// As the server wrote it.
    pub(crate) key: String,
    pub(crate) id: CString,
    pub(crate) name: CString,
    pub(crate) info: StreamInfo,
    /// Whose. Lent as long as the stream lives.
    pub(crate) lent_connection: Lent,
}

impl Stream {
    pub(crate) fn new(info: &StreamInfo, connection: Arc<Connection>) -> Self {
        Self {
            key: info.stream_id.clone(),
            id: c_text(&info.stream_id),
            name: c_text(info.name.as_deref().unwrap_or_default()),
            info: info.clone(),
            lent_connection: Lent::new(connection),
        }
    }

    pub(crate) fn has_video(&self) -> bool {
        self.info.has_video.unwrap_or_default()
    }

    pub(crate) fn has_audio(&self) -> bool {
        self.info.has_audio.unwrap_or_default()
    }

    /// 0 without one.
    pub(crate) fn video_type(&self) -> i32 {
        match self.info.video_type {
            Some(VideoType::Camera) => 1,
            Some(VideoType::Screen) => 2,
            Some(VideoType::Custom) => 3,
            None => 0,
        }
    }

    /// Width and height; 0 where nothing is known.
    pub(crate) fn size(&self) -> (i32, i32) {
        let side = |side: u64| i32::try_from(side).unwrap_or_default();
        let known = self.info.video_dimensions.as_ref();
        known.map_or((0, 0), |size| (side(size.width), side(size.height)))
    }
}
