//! Where the server is, read of its URL.

use sealroute_session::SessionError;

const PATH: &str = "/v1/signal";
const BAD: SessionError = SessionError::InvalidParameter(
    "The URL of the server begins with http:// or https://, as in http://host:8080",
);

/// Host, port and path of the WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) is_secure: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    path: String,
}

impl Address {
    pub(crate) fn of_url(url: &str) -> Result<Self, SessionError> {
        let (scheme, rest) = url.split_once("://").ok_or(BAD)?;
        let is_secure = match scheme {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(BAD),
        };
        let at = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let (host, port) = split_port(authority, if is_secure { 443 } else { 80 })?;
        let is_fit = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        if host.is_empty() || !host.chars().all(is_fit) || path.contains(['?', '#']) {
            return Err(BAD);
        }
        Ok(Self {
            is_secure,
            host: host.to_owned(),
            port,
            path: path.trim_end_matches('/').to_owned(),
        })
    }

    /// Of the WebSocket.
    pub(crate) fn uri(&self) -> String {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        format!("{scheme}://{host}:{}{}{PATH}", self.port, self.path)
    }
}

fn split_port(authority: &str, usual: u16) -> Result<(&str, u16), SessionError> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(BAD)?;
        let port = if rest.is_empty() {
            None
        } else {
            Some(rest.strip_prefix(':').ok_or(BAD)?)
        };
        (host, port)
    } else {
        let split = authority.split_once(':');
        split.map_or((authority, None), |(host, port)| (host, Some(port)))
    };
    let port = port.map_or(Ok(usual), |port| port.parse().map_err(|_| BAD))?;
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn a_url_names_the_websocket_or_is_refused() {
        for (url, uri) in [
            ("http://host", "ws://host:80/v1/signal"),
            ("https://host/", "wss://host:443/v1/signal"),
            ("https://a-b.c:8443/sub/", "wss://a-b.c:8443/sub/v1/signal"),
            ("http://[::1]:8080", "ws://[::1]:8080/v1/signal"),
            ("ws://127.0.0.1:1", "ws://127.0.0.1:1/v1/signal"),
        ] {
            assert_eq!(
                Address::of_url(url).map(|address| address.uri()),
                Ok(uri.into())
            );
        }
        for bad in [
            "",
            "host:80",
            "ftp://host",
            "http://",
            "http://:80",
            "http://a b",
            "http://h:x",
            "http://h:70000",
            "http://user@h",
            "http://[::1",
            "http://h/?q",
            "http://h\r\nx: y",
        ] {
            assert!(Address::of_url(bad).is_err(), "{bad}");
        }
    }
}
