//! The flags of the API.

use std::path::PathBuf;

use clap::Args;

use super::{DEFAULT_HISTORY, DEFAULT_SOCKET};
use crate::export::ConfigError;
use crate::listen::{Flag, Flags, Listener};

/// What the command line says of the API.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "API")]
pub struct ListenOptions {
    /// Where to answer upspan observe and other clients.
    #[arg(
        long,
        value_name = "ADDRESS",
        help = "Where to answer upspan observe and other clients: unix:PATH, 127.0.0.1:4319, \
                [::1]:4319 or off [default: of upspan run, unix:/run/upspan/upspan.sock; of \
                others, off]"
    )]
    pub api: Option<String>,

    /// Keep so many upcalls for clients, about 700 bytes each [default: 16384]
    #[arg(long, value_name = "N", value_parser = history)]
    pub api_history: Option<usize>,

    /// Certificate to show to clients, with its chain (PEM): the API then wants TLS. It, its key,
    /// the CA and the token are read once, at the start
    #[arg(long, value_name = "FILE")]
    pub api_certificate: Option<PathBuf>,

    /// Private key of that certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub api_key: Option<PathBuf>,

    /// Let in only clients that show a certificate of this CA (PEM)
    #[arg(long, value_name = "FILE")]
    pub api_client_ca: Option<PathBuf>,

    /// Let in only clients that show the token in this file, of at least 16 characters
    #[arg(long, value_name = "FILE")]
    pub api_token_file: Option<PathBuf>,

    /// Listen also where other hosts can connect without TLS, or without showing who they are
    #[arg(long)]
    pub api_insecure: bool,
}

/// There is to be no API.
const OFF: &str = "off";

fn history(number: &str) -> Result<usize, String> {
    const MOST: usize = 1 << 22;
    match number.parse() {
        Ok(number) if (1..=MOST).contains(&number) => Ok(number),
        _ => Err(format!("give a number from 1 to {MOST}")),
    }
}

/// Where to listen, whom to let in, and what to keep for them.
#[derive(Debug)]
pub struct Access {
    pub(super) listener: Listener,
    pub(super) history: usize,
}

/// Where to listen if nobody has named an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnset {
    /// On [`DEFAULT_SOCKET`].
    Socket,
    /// Nowhere.
    Off,
}

impl ListenOptions {
    /// Whether somebody has named an address.
    #[must_use]
    pub fn is_asked_for(&self) -> bool {
        self.api.as_deref().is_some_and(|address| address != OFF)
    }

    /// Where to listen, if anywhere.
    ///
    /// # Errors
    /// A flag cannot be used, or anyone could get in.
    pub fn resolve(&self, when_unset: WhenUnset) -> Result<Option<Access>, ConfigError> {
        let default = format!("unix:{DEFAULT_SOCKET}");
        let address = match (&self.api, when_unset) {
            (Some(address), _) if address == OFF => return Ok(None),
            (Some(address), _) => address,
            (None, WhenUnset::Socket) => &default,
            (None, WhenUnset::Off) => return Ok(None),
        };
        let listener = Flags {
            flag: Flag("--api"),
            address,
            certificate: self.api_certificate.as_deref(),
            key: self.api_key.as_deref(),
            client_ca: self.api_client_ca.as_deref(),
            token_file: self.api_token_file.as_deref(),
            insecure: self.api_insecure,
        }
        .resolve()?;
        Ok(Some(Access { listener, history: self.api_history.unwrap_or(DEFAULT_HISTORY) }))
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    fn address(args: &[&str], when_unset: WhenUnset) -> Option<String> {
        let command = ListenOptions::augment_args(Command::new("upspan").no_binary_name(true));
        let matches = command.try_get_matches_from(args).unwrap();
        let options = ListenOptions::from_arg_matches(&matches).unwrap();
        let access = options.resolve(when_unset).unwrap()?;
        Some(access.listener.address().to_string())
    }

    #[test]
    fn there_is_one_where_it_is_wanted() {
        let default = format!("unix:{DEFAULT_SOCKET}");
        assert_eq!(address(&[], WhenUnset::Socket), Some(default));
        assert_eq!(address(&[], WhenUnset::Off), None);
        for when_unset in [WhenUnset::Socket, WhenUnset::Off] {
            assert_eq!(address(&["--api", "off"], when_unset), None);
            let named = address(&["--api", "127.0.0.1:4319"], when_unset);
            assert_eq!(named.as_deref(), Some("127.0.0.1:4319"));
        }
    }
}
