//! One run of the command.

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use sealroute_client::{
    Client, EncryptionSecret, Event, Observer, PublicationId, SessionError, SubscribeOptions, Track,
};
use serde_json::{Value, json};

use crate::arguments::{Arguments, Verb, read_text};
use crate::files::Files;
use crate::output;
use crate::recording::Recorder;

const EXIT_CLEAN: u8 = 0;
const EXIT_OTHER: u8 = 1;
pub(crate) const EXIT_USAGE: u8 = 2;
const EXIT_REFUSED: u8 = 3;
const EXIT_ENCRYPTION: u8 = 4;
const A_LONG_TIME: Duration = Duration::from_secs(1 << 32);

enum News {
    Event(Event),
    Line(String),
}

struct Telling(Sender<News>);

impl Observer for Telling {
    fn on_event(&mut self, event: &Event) {
        let _ = self.0.send(News::Event(event.clone()));
    }
}

struct Run {
    client: Client,
    files: Option<(Files, Option<String>)>,
    folder: Option<PathBuf>,
    publication: Option<PublicationId>,
    code: u8,
    is_connected: bool,
    is_mismatched: bool,
}

/// Gives the exit code.
pub(crate) fn run(arguments: Arguments) -> u8 {
    let (files, folder) = match prepared(arguments.verb) {
        Ok(prepared) => prepared,
        Err(text) => {
            output::error("invalid_parameter", 1011, &text);
            return EXIT_USAGE;
        }
    };
    let (sender, news) = mpsc::channel();
    let observer = Box::new(Telling(sender.clone()));
    let client = match Client::connect(arguments.settings, observer) {
        Ok(client) => client,
        Err(error) => {
            output::failure(&error);
            return EXIT_USAGE;
        }
    };
    if arguments.takes_commands {
        std::thread::spawn(move || read_lines(&sender));
    } else {
        drop(sender);
    }
    let mut run = Run {
        client,
        files,
        folder,
        publication: None,
        code: EXIT_CLEAN,
        is_connected: false,
        is_mismatched: false,
    };
    let end = arguments.duration.map(|duration| Instant::now() + duration);
    loop {
        let wait = end.map_or(A_LONG_TIME, |end| {
            end.saturating_duration_since(Instant::now())
        });
        let goes_on = match news.recv_timeout(wait) {
            Ok(News::Event(event)) => run.on_event(&event),
            Ok(News::Line(line)) => run.on_line(&line),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => false,
        };
        if !goes_on {
            break;
        }
    }
    run.finish(&news)
}

type Prepared = (Option<(Files, Option<String>)>, Option<PathBuf>);

fn prepared(verb: Verb) -> Result<Prepared, String> {
    match verb {
        Verb::Publish { video, audio, name } => {
            if video.is_none() && audio.is_none() {
                return Err("There is nothing to publish: give --video or --audio".into());
            }
            let files = Files::read(video.as_deref(), audio.as_deref())?;
            Ok((Some((files, name)), None))
        }
        Verb::Record { out } => {
            std::fs::create_dir_all(&out).map_err(|_| "The folder cannot be made".to_owned())?;
            Ok((None, Some(out)))
        }
    }
}

fn read_lines(sender: &Sender<News>) {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        if sender.send(News::Line(line)).is_err() {
            return;
        }
    }
}

impl Run {
    /// False: it is over.
    fn on_event(&mut self, event: &Event) -> bool {
        match event {
            Event::Connected => {
                self.is_connected = true;
                self.on_connected();
                return true;
            }
            Event::Error(error) | Event::Failed(error) | Event::PublicationError { error, .. } => {
                self.fail(error);
            }
            Event::EncryptionSecretMismatch { .. } => self.is_mismatched = true,
            Event::EncryptionSecretMatch { .. } => self.is_mismatched = false,
            _ => {}
        }
        output::event(event);
        match event {
            Event::StreamReceived(stream) => {
                self.record(&stream.stream_id);
                true
            }
            Event::Disconnected { .. } => false,
            // `Disconnected` follows where anything was joined.
            Event::Failed(_) => self.is_connected,
            _ => true,
        }
    }

    fn on_connected(&mut self) {
        let id = self.client.connection_id().unwrap_or_default();
        let code = self.client.verification_code().ok();
        output::line(
            "connected",
            json!({ "connectionId": id, "verificationCode": code }),
        );
        if let Some((files, name)) = self.files.take() {
            let options = files.options(name);
            match self.client.publish(options, files.capturer()) {
                Ok(publication) => self.publication = Some(publication),
                Err(error) => self.tell_failure(&error),
            }
        }
    }

    fn record(&mut self, stream_id: &str) {
        let Some(folder) = &self.folder else {
            return;
        };
        let recorder = Box::new(Recorder::new(folder, stream_id));
        let options = SubscribeOptions::default();
        match self.client.subscribe(stream_id, options, recorder) {
            Ok(_) => output::line("subscribed", json!({ "streamId": stream_id })),
            Err(error) => self.tell_failure(&error),
        }
    }

    fn tell_failure(&mut self, error: &SessionError) {
        output::failure(error);
        self.fail(error);
    }

    /// The first failure decides.
    fn fail(&mut self, error: &SessionError) {
        if self.code != EXIT_CLEAN {
            return;
        }
        let is_unsafe = matches!(
            error,
            SessionError::NotEncrypted
                | SessionError::EncryptedAndRelayed
                | SessionError::Unsaid
                | SessionError::Contradiction
        );
        self.code = match error.number() {
            6000..=6006 => EXIT_ENCRYPTION,
            _ if is_unsafe => EXIT_ENCRYPTION,
            _ if matches!(error, SessionError::Refused { .. }) => EXIT_REFUSED,
            _ => EXIT_OTHER,
        };
    }

    // --- commands ------------------------------------------------------------------------------

    fn on_line(&mut self, line: &str) -> bool {
        let command: Value = serde_json::from_str(line).unwrap_or_default();
        let text = |name: &str| command[name].as_str().unwrap_or_default().to_owned();
        let done = match command["command"].as_str() {
            Some("leave") => return false,
            Some("signal") => {
                self.client
                    .signal(command["to"].as_str(), &text("type"), &text("data"))
            }
            Some("setEncryptionSecret") => {
                let immediate = command["immediate"].as_bool().unwrap_or_default();
                self.set_secret(&text("secretFile"), immediate)
            }
            Some(verb @ ("mute" | "unmute")) => self.mute(&text("kind"), verb == "mute"),
            _ => Err(SessionError::InvalidParameter("Not a command")),
        };
        if let Err(error) = done {
            output::failure(&error);
        }
        true
    }

    fn set_secret(&mut self, path: &str, immediate: bool) -> Result<(), SessionError> {
        let text = read_text(path, "secret")
            .map_err(|_| SessionError::InvalidParameter("The secret file cannot be read"))?;
        let secret = EncryptionSecret::new(&text).map_err(|_| SessionError::InvalidSecret)?;
        self.client.set_encryption_secret(secret, immediate);
        Ok(())
    }

    fn mute(&self, kind: &str, is_muted: bool) -> Result<(), SessionError> {
        let nothing = SessionError::InvalidParameter("Nothing is published");
        let publication = self.publication.ok_or(nothing)?;
        let track = if kind == "video" {
            Track::Video
        } else {
            Track::Audio
        };
        self.client.set_sending(publication, track, !is_muted)
    }

    /// What was received is whole on disk when this returns.
    fn finish(self, news: &mpsc::Receiver<News>) -> u8 {
        let mut code = self.code;
        if self.is_mismatched && code == EXIT_CLEAN {
            code = EXIT_ENCRYPTION;
        }
        drop(self.client);
        while let Ok(news) = news.try_recv() {
            if let News::Event(event @ Event::Disconnected { .. }) = news {
                output::event(&event);
            }
        }
        code
    }
}
