//! The command line, with the options of `sealroute-client` where both have them.

use std::path::PathBuf;
use std::time::Duration;

use sealroute_client::{EncryptionSecret, Settings};

const USAGE: &str = "sealroute-native publish|record --url URL --api-key KEY --session ID \
    [--token-file FILE] [--secret-file FILE] [--ca-file FILE] [--duration SECONDS] [--commands] \
    [--video FILE.ivf] [--audio FILE.ogg] [--name NAME] [--out FOLDER]";

pub(crate) enum Verb {
    Publish {
        video: Option<PathBuf>,
        audio: Option<PathBuf>,
        name: Option<String>,
    },
    Record {
        out: PathBuf,
    },
}

pub(crate) struct Arguments {
    pub(crate) verb: Verb,
    pub(crate) settings: Settings,
    pub(crate) duration: Option<Duration>,
    pub(crate) takes_commands: bool,
}

#[derive(Default)]
struct Given {
    rows: Vec<(String, String)>,
    takes_commands: bool,
}

impl Given {
    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.rows.iter().position(|(given, _)| given == name)?;
        Some(self.rows.remove(at).1)
    }

    fn need(&mut self, name: &str) -> Result<String, String> {
        self.take(name)
            .ok_or_else(|| format!("{name} is missing; {USAGE}"))
    }
}

impl Arguments {
    /// Errors: for people.
    pub(crate) fn parse(
        mut words: impl Iterator<Item = String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let verb = words.next().ok_or(USAGE)?;
        let mut given = Given::default();
        while let Some(word) = words.next() {
            if word == "--commands" {
                given.takes_commands = true;
            } else if word.starts_with("--") {
                let value = words.next().ok_or_else(|| format!("{word} has no value"))?;
                given.rows.push((word, value));
            } else {
                return Err(USAGE.into());
            }
        }
        let settings = settings(&mut given, variable)?;
        let duration = given
            .take("--duration")
            .map(|text| seconds(&text))
            .transpose()?;
        let verb = match verb.as_str() {
            "publish" => Verb::Publish {
                video: given.take("--video").map(PathBuf::from),
                audio: given.take("--audio").map(PathBuf::from),
                name: given.take("--name"),
            },
            "record" => Verb::Record {
                out: given.need("--out")?.into(),
            },
            _ => return Err(USAGE.into()),
        };
        if let Some((name, _)) = given.rows.first() {
            return Err(format!("{name} is no option here; {USAGE}"));
        }
        let takes_commands = given.takes_commands;
        Ok(Self {
            verb,
            settings,
            duration,
            takes_commands,
        })
    }
}

fn settings(
    given: &mut Given,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Settings, String> {
    let file =
        |path: Option<String>, what: &str| path.map(|path| read_text(&path, what)).transpose();
    let token = file(given.take("--token-file"), "token")?;
    let token = token
        .or(given.take("--token"))
        .or_else(|| variable("SEALROUTE_TOKEN"));
    let secret = file(given.take("--secret-file"), "secret")?;
    let secret = secret.or_else(|| variable("SEALROUTE_SECRET"));
    let secret = secret.map(|text| EncryptionSecret::new(&text).map_err(|error| error.to_string()));
    Ok(Settings {
        url: given.need("--url")?,
        api_key: given.need("--api-key")?,
        session_id: given.need("--session")?,
        token: token.ok_or("There is no token: give --token-file, or set SEALROUTE_TOKEN")?,
        secret: secret.transpose()?,
        ca_file: given.take("--ca-file").map(PathBuf::from),
        codecs: None,
    })
}

/// Line ends at the end are not part of it.
pub(crate) fn read_text(path: &str, what: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|_| format!("The {what} file cannot be read"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: Option<f64> = text.parse().ok();
    let duration = number.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| "--duration is a number of seconds".into())
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Verb};

    fn parse(line: &str) -> Result<Arguments, String> {
        let words = line.split_whitespace().map(str::to_owned);
        Arguments::parse(words, |name| {
            (name == "SEALROUTE_TOKEN").then(|| "token".into())
        })
    }

    #[test]
    fn a_command_line_is_understood_whole_or_refused() {
        let common = "--url http://h --api-key k --session s";
        let parsed = parse(&format!(
            "record {common} --out /tmp --duration 2.5 --commands"
        ));
        let parsed = parsed.unwrap_or_else(|text| panic!("{text}"));
        assert!(matches!(parsed.verb, Verb::Record { .. }) && parsed.takes_commands);
        assert_eq!(parsed.settings.token, "token");
        assert_eq!(parsed.duration.map(|time| time.as_millis()), Some(2_500));
        for bad in [
            String::new(),
            format!("record {common}"),
            format!("stream {common}"),
            format!("record {common} --out"),
            format!("record {common} --out x --video y"),
            format!("publish {common} --duration -1"),
            format!("publish {common} more"),
            "publish --url http://h --api-key k".into(),
            format!("publish {common} --secret-file /nowhere"),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }
}
