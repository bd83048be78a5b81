//! What one subscription receives, in files: IVF or Annex B, and Ogg.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use sealroute_client::{Codec, MediaFrame, Renderer};
use serde_json::json;

use crate::{ivf, ogg, output};

pub(crate) struct Recorder {
    folder: PathBuf,
    stem: String,
    stream_id: String,
    film: Option<ivf::Writer>,
    raw: Option<(File, u32)>,
    audio: Option<ogg::Writer>,
    is_broken: bool,
}

impl Recorder {
    pub(crate) fn new(folder: &Path, stream_id: &str) -> Self {
        // The id comes from the server: it never chooses a folder.
        let safe = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        };
        Self {
            folder: folder.to_owned(),
            stem: stream_id.chars().map(safe).take(64).collect(),
            stream_id: stream_id.to_owned(),
            film: None,
            raw: None,
            audio: None,
            is_broken: false,
        }
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.folder.join(format!("{}.{suffix}", self.stem))
    }

    fn write(&mut self, frame: &MediaFrame) -> std::io::Result<()> {
        match frame.codec {
            Codec::Opus => {
                if self.audio.is_none() {
                    self.audio = Some(ogg::Writer::create(&self.path("ogg"))?);
                }
                self.audio
                    .as_mut()
                    .map_or(Ok(()), |audio| audio.write(frame.timestamp, &frame.data))
            }
            Codec::H264 => {
                if self.raw.is_none() {
                    self.raw = Some((File::create(self.path("h264"))?, 0));
                }
                self.raw.as_mut().map_or(Ok(()), |(file, count)| {
                    *count += 1;
                    file.write_all(&frame.data)
                })
            }
            codec => {
                if self.film.is_none() {
                    let created = ivf::Writer::create(&self.path("ivf"), codec);
                    self.film = created.transpose()?;
                }
                let film = self.film.as_mut();
                film.map_or(Ok(()), |film| {
                    film.write(codec, frame.timestamp, &frame.data)
                })
            }
        }
    }
}

impl Renderer for Recorder {
    fn on_frame(&mut self, frame: &MediaFrame) {
        if !self.is_broken && self.write(frame).is_err() {
            self.is_broken = true;
            output::error("recording", 2000, "The recording cannot be written");
        }
    }

    fn on_end(&mut self) {
        let films = self.film.as_ref().map_or(0, ivf::Writer::count);
        let raw = self.raw.as_ref().map_or(0, |(_, count)| *count);
        let audio_frames = self.audio.as_ref().map_or(0, ogg::Writer::count);
        let is_whole = self.film.take().is_none_or(|film| film.finish().is_ok())
            & self.audio.take().is_none_or(|audio| audio.finish().is_ok());
        if !is_whole {
            output::error("recording", 2000, "The recording cannot be finished");
        }
        output::line(
            "recorded",
            json!({
                "streamId": self.stream_id,
                "stem": self.stem,
                "frames": { "video": films + raw, "audio": audio_frames },
            }),
        );
    }
}
