//! A 5-tuple, as far as somebody gives it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use upspan_proto::v1;

use crate::enrich::headers::Headers;

/// Lets packets pass whose headers agree with what is given.
///
/// As text: a protocol, one or two ends with `>` between them (`<>`: either way), or all of these.
/// An end is an address or prefix, a port, both, or `*`.
///
/// ```
/// use upspan::api::FlowPrefix;
///
/// for text in ["tcp", "10.0.0.1", "udp 10.0.0.0/8 > *:53", "tcp [fd00::1]:80 <> *", "> :443"] {
///     text.parse::<FlowPrefix>()?;
/// }
/// # Ok::<(), upspan::api::FlowPrefixError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowPrefix {
    protocol: Option<u8>,
    source: End,
    destination: End,
    either_direction: bool,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct End {
    address: Option<IpNet>,
    port: Option<u16>,
}

impl End {
    fn fits(self, address: Option<IpAddr>, port: Option<u16>) -> bool {
        self.address.is_none_or(|net| address.is_some_and(|address| net.contains(&address)))
            && self.port.is_none_or(|wanted| port == Some(wanted))
    }
}

/// Why something is no [`FlowPrefix`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlowPrefixError {
    /// It has not the form.
    #[error(
        "'{0}' is no flow: write it as 'tcp 10.0.0.0/8:* > 10.1.2.3:80', with any part left out"
    )]
    Form(String),
    /// An address.
    #[error("'{0}' is neither an address nor a prefix, such as 10.0.0.0/8")]
    Address(String),
    /// A port.
    #[error("'{0}' is no port: it is a number from 0 to 65535")]
    Port(String),
    /// A protocol.
    #[error("'{0}' is no IP protocol that upspan knows: give its number, from 0 to 255")]
    Protocol(String),
}

impl FlowPrefix {
    /// Whether a packet with these headers passes.
    #[must_use]
    pub fn fits(&self, headers: &Headers) -> bool {
        let source = (headers.source, headers.source_port);
        let destination = (headers.destination, headers.destination_port);
        let fits = |from: (_, _), to: (_, _)| {
            self.source.fits(from.0, from.1) && self.destination.fits(to.0, to.1)
        };
        self.protocol.is_none_or(|protocol| headers.protocol == Some(protocol))
            && (fits(source, destination) || self.either_direction && fits(destination, source))
    }
}

fn protocol(text: &str) -> Result<u8, FlowPrefixError> {
    Headers::protocol_number(text).ok_or_else(|| FlowPrefixError::Protocol(text.to_owned()))
}

fn address(text: &str) -> Result<Option<IpNet>, FlowPrefixError> {
    match text {
        "" | "*" => Ok(None),
        _ => match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
            (Ok(net), _) => Ok(Some(net)),
            (_, Ok(address)) => Ok(Some(address.into())),
            _ => Err(FlowPrefixError::Address(text.to_owned())),
        },
    }
}

fn port(text: &str) -> Result<Option<u16>, FlowPrefixError> {
    match text {
        "" | "*" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| FlowPrefixError::Port(text.to_owned())),
    }
}

impl FromStr for End {
    type Err = FlowPrefixError;

    /// IPv6 with a port is in brackets; without, it need not be.
    fn from_str(text: &str) -> Result<Self, FlowPrefixError> {
        if let Some((inner, rest)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
            return match rest.strip_prefix(':') {
                Some(rest) => Ok(Self { address: address(inner)?, port: port(rest)? }),
                None if rest.is_empty() => Ok(Self { address: address(inner)?, port: None }),
                None => Err(FlowPrefixError::Address(text.to_owned())),
            };
        }
        match text.rsplit_once(':') {
            Some((before, after)) if !before.contains(':') => {
                Ok(Self { address: address(before)?, port: port(after)? })
            }
            _ => Ok(Self { address: address(text)?, port: None }),
        }
    }
}

impl FromStr for FlowPrefix {
    type Err = FlowPrefixError;

    fn from_str(text: &str) -> Result<Self, FlowPrefixError> {
        let form = || FlowPrefixError::Form(text.to_owned());
        let (before, arrow, after) = match text.split_once('>') {
            Some((before, after)) => match before.strip_suffix('<') {
                Some(before) => (before, Some(true), after),
                None => (before, Some(false), after),
            },
            None => (text, None, ""),
        };
        let (before, after): (Vec<_>, Vec<_>) =
            (before.split_whitespace().collect(), after.split_whitespace().collect());
        let is_protocol = |text: &str| Headers::protocol_number(text).is_some();
        let (named, source) = match before[..] {
            [] => (None, "*"),
            [word] if is_protocol(word) => (Some(word), "*"),
            [word] => (None, word),
            [protocol, end] => (Some(protocol), end),
            _ => return Err(form()),
        };
        let destination = match (&after[..], arrow) {
            ([], None) => "*",
            ([end], Some(_)) => end,
            _ => return Err(form()),
        };
        if text.trim().is_empty() {
            return Err(form());
        }
        Ok(Self {
            protocol: named.map(protocol).transpose()?,
            source: source.parse()?,
            destination: destination.parse()?,
            either_direction: arrow.unwrap_or_default(),
        })
    }
}

impl TryFrom<&v1::FlowPrefix> for FlowPrefix {
    type Error = FlowPrefixError;

    fn try_from(message: &v1::FlowPrefix) -> Result<Self, FlowPrefixError> {
        let port = |port: Option<u32>| {
            let number = |port: u32| {
                u16::try_from(port).map_err(|_| FlowPrefixError::Port(port.to_string()))
            };
            port.map(number).transpose()
        };
        let named = Some(&*message.protocol).filter(|name| !name.is_empty());
        Ok(Self {
            protocol: named.map(protocol).transpose()?,
            source: End { address: address(&message.source)?, port: port(message.source_port)? },
            destination: End {
                address: address(&message.destination)?,
                port: port(message.destination_port)?,
            },
            either_direction: message.either_direction,
        })
    }
}

impl From<&FlowPrefix> for v1::FlowPrefix {
    fn from(prefix: &FlowPrefix) -> Self {
        let address = |end: End| end.address.map(|net| net.to_string()).unwrap_or_default();
        Self {
            protocol: prefix.protocol.map(|number| number.to_string()).unwrap_or_default(),
            source: address(prefix.source),
            source_port: prefix.source.port.map(u32::from),
            destination: address(prefix.destination),
            destination_port: prefix.destination.port.map(u32::from),
            either_direction: prefix.either_direction,
        }
    }
}

impl fmt::Display for FlowPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(protocol) = self.protocol {
            write!(f, "{protocol} ")?;
        }
        let arrow = if self.either_direction { "<>" } else { ">" };
        write!(f, "{} {arrow} {}", self.source, self.destination)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.port) {
            (None, None) => f.write_str("*"),
            (None, Some(port)) => write!(f, "*:{port}"),
            (Some(net), None) => write!(f, "{net}"),
            (Some(net), Some(port)) => write!(f, "[{net}]:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers() -> Headers {
        Headers {
            source: Some("10.0.0.1".parse().unwrap()),
            destination: Some("10.0.0.2".parse().unwrap()),
            protocol: Some(6),
            source_port: Some(46772),
            destination_port: Some(5001),
            ..Headers::default()
        }
    }

    #[test]
    fn what_is_given_must_fit() {
        for (text, expected) in [
            ("tcp", true),
            ("6", true),
            ("udp", false),
            ("10.0.0.1", true),
            ("10.0.0.2", false),
            ("10.0.0.0/24", true),
            ("10.0.1.0/24", false),
            ("> 10.0.0.2", true),
            ("> :5001", true),
            ("*:5001", false),
            ("<> *:46772", true),
            ("tcp 10.0.0.2 <> 10.0.0.1", true),
            ("tcp 10.0.0.2 > 10.0.0.1", false),
            ("tcp 10.0.0.1:46772 > 10.0.0.2:5001", true),
            ("tcp 10.0.0.1:46772>10.0.0.2:5001", true),
            ("fe80::/10", false),
            ("::/0", false),
            ("[::]:80", false),
            ("0.0.0.0/0", true),
        ] {
            let prefix: FlowPrefix = text.parse().unwrap();
            assert_eq!(prefix.fits(&headers()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_known_fits_nothing() {
        for text in ["tcp", "0.0.0.0/0", "*:1"] {
            let prefix: FlowPrefix = text.parse().unwrap();
            assert!(!prefix.fits(&Headers::default()), "{text}");
        }
        assert!(FlowPrefix::default().fits(&Headers::default()));
    }

    #[test]
    fn wrong_ones_are_refused() {
        let said: Vec<_> =
            ["", "tcp udp icmp", "a > b > c", "10.0.0.1:x", "10.0.0.0/33", "tpc 1.1.1.1", "> "]
                .map(|text| text.parse::<FlowPrefix>().unwrap_err().to_string())
                .into();
        insta::assert_snapshot!(said.join("\n"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(tcp|udp|[0-9a-f.:/\\[\\]*<> ]|\\PC){0,20}") {
            if let Ok(prefix) = text.parse::<FlowPrefix>() {
                let again: FlowPrefix = prefix.to_string().parse().unwrap();
                prop_assert_eq!(&again, &prefix);
                let message = v1::FlowPrefix::from(&prefix);
                prop_assert_eq!(FlowPrefix::try_from(&message).unwrap(), prefix);
            }
        }

        #[test]
        fn any_message_is_taken_or_refused(
            protocol in "(tcp|[0-9]{0,4}|\\PC{0,4})",
            source in "([0-9a-f.:/]{0,12}|\\PC{0,4})",
            source_port: Option<u32>,
            destination in "(::1|10.0.0.0/[0-9]{1,3}|\\PC{0,4})",
            destination_port in proptest::option::of(0_u32..70_000),
            either_direction: bool,
        ) {
            let message = v1::FlowPrefix {
                protocol, source, source_port, destination, destination_port, either_direction,
            };
            if let Ok(prefix) = FlowPrefix::try_from(&message) {
                let _either = prefix.fits(&headers());
            }
        }
    }
}
