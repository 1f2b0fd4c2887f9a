//! Whom the API lets in: flags, and what of them goes together.

use std::path::PathBuf;

use clap::Args;
use tonic::transport::ServerTlsConfig;

use super::DEFAULT_HISTORY;
use super::address::{Address, Listen};
use crate::export::{ConfigError, Setting, TlsFiles};
use crate::token::Token;

/// What the command line says of the API.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "API")]
pub struct ListenOptions {
    /// Where upspan observe and other clients find this: unix:PATH, https://ADDRESS:PORT,
    /// http://127.0.0.1:PORT, or off [default: of upspan run, unix:/run/upspan/upspan.sock; of
    /// others, off]
    #[arg(long, value_name = "ADDRESS")]
    pub api: Option<Listen>,

    /// Keep so many upcalls for clients, about 700 bytes each
    #[arg(long, value_name = "N", default_value_t = DEFAULT_HISTORY,
          value_parser = history)]
    pub api_history: usize,

    /// Certificate to show to clients over https://, with its chain (PEM)
    #[arg(long, value_name = "FILE")]
    pub api_certificate: Option<PathBuf>,

    /// Private key of that certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub api_key: Option<PathBuf>,

    /// Let in clients that show a certificate of this CA (PEM)
    #[arg(long, value_name = "FILE")]
    pub api_client_ca: Option<PathBuf>,

    /// Let in clients that show the token in this file
    #[arg(long, value_name = "FILE")]
    pub api_token_file: Option<PathBuf>,

    /// Listen also where other nodes can connect without TLS, or without showing who they are
    #[arg(long)]
    pub api_insecure: bool,
}

fn history(number: &str) -> Result<usize, String> {
    const MOST: usize = 1 << 22;
    match number.parse() {
        Ok(number) if (1..=MOST).contains(&number) => Ok(number),
        _ => Err(format!("give a number from 1 to {MOST}")),
    }
}

/// Why the API would let in whom it should not, or nobody.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Encrypted, but open to all.
    #[error(
        "--api: {0} can be reached from other nodes: give --api-client-ca or --api-token-file, or \
         --api-insecure to let in everyone"
    )]
    Open(Address),
    /// Not encrypted.
    #[error(
        "--api: {0} can be reached from other nodes without encryption: use https://, or give \
         --api-insecure if the network is to be trusted"
    )]
    Plain(Address),
    /// Nothing to encrypt with.
    #[error("--api: {0} needs --api-certificate and --api-key")]
    NoCertificate(Address),
    /// Files that would not be used.
    #[error("{0} is for https:// only, but --api is {1}")]
    NotUsed(&'static str, Address),
    /// A file.
    #[error(transparent)]
    File(#[from] ConfigError),
}

/// An address, and who is let in there.
#[derive(Debug)]
pub struct Access {
    pub(super) address: Address,
    pub(super) tls: Option<ServerTlsConfig>,
    pub(super) token: Option<Token>,
    pub(super) history: usize,
}

impl ListenOptions {
    /// Where to listen, if anywhere; `default` is for a command line that does not say.
    ///
    /// # Errors
    /// Anyone could get in, or a file cannot be used.
    pub fn resolve(&self, default: Listen) -> Result<Option<Access>, ListenError> {
        let Listen(Some(address)) = self.api.clone().unwrap_or(default) else { return Ok(None) };
        let tls = self.tls(&address)?;
        let token = match &self.api_token_file {
            Some(path) => {
                let setting = Setting::new("--api-token-file", path.clone());
                Some(setting.parse(|path| Token::read(&path))?.value)
            }
            None => None,
        };
        if address.is_open() && !self.api_insecure {
            if tls.is_none() {
                return Err(ListenError::Plain(address));
            }
            if self.api_client_ca.is_none() && token.is_none() {
                return Err(ListenError::Open(address));
            }
        }
        Ok(Some(Access { address, tls, token, history: self.api_history }))
    }

    fn tls(&self, address: &Address) -> Result<Option<ServerTlsConfig>, ListenError> {
        let named =
            |flag, path: &Option<PathBuf>| path.clone().map(|path| Setting::new(flag, path));
        let files = TlsFiles {
            ca: named("--api-client-ca", &self.api_client_ca),
            certificate: named("--api-certificate", &self.api_certificate),
            key: named("--api-key", &self.api_key),
        };
        if matches!(address, Address::Https(_)) {
            let tls = files.load()?.server_config();
            return tls.map(Some).ok_or_else(|| ListenError::NoCertificate(address.clone()));
        }
        let unused = [
            ("--api-client-ca", files.ca),
            ("--api-certificate", files.certificate),
            ("--api-key", files.key),
        ];
        match unused.into_iter().find(|(_, file)| file.is_some()) {
            Some((flag, _)) => Err(ListenError::NotUsed(flag, address.clone())),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    fn resolve(args: &[&str]) -> Result<Option<Access>, ListenError> {
        let command = ListenOptions::augment_args(Command::new("upspan").no_binary_name(true));
        let matches = command.try_get_matches_from(args).unwrap();
        ListenOptions::from_arg_matches(&matches).unwrap().resolve(Listen(None))
    }

    #[test]
    fn what_only_this_node_can_reach_needs_nothing() {
        assert!(resolve(&[]).unwrap().is_none());
        for address in ["unix:/run/a.sock", "http://127.0.0.1:1", "http://[::1]:1"] {
            assert!(resolve(&["--api", address]).unwrap().is_some(), "{address}");
        }
    }

    #[test]
    fn nobody_is_let_in_by_mistake() {
        let directory = tempfile::tempdir().unwrap();
        let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.into_os_string().into_string().unwrap()
        };
        let certificate = file("cert.pem", &identity.cert.pem());
        let key = file("key.pem", &identity.signing_key.serialize_pem());
        let token = file("token", "0123456789abcdef");
        let tls = ["--api-certificate", &certificate, "--api-key", &key];
        let with = |address, more: &[&str]| resolve(&[&["--api", address], more].concat());

        for more in [
            &["--api-client-ca", &certificate][..],
            &["--api-token-file", &token],
            &["--api-insecure"],
        ] {
            assert!(with("https://0.0.0.0:1", &[&tls, more].concat()).unwrap().is_some());
        }
        assert!(with("https://127.0.0.1:1", &tls).unwrap().is_some());
        assert!(with("http://0.0.0.0:1", &["--api-insecure"]).unwrap().is_some());

        let said: Vec<_> = [
            with("https://0.0.0.0:1", &tls),
            with("http://0.0.0.0:1", &[]),
            with("http://10.0.0.1:1", &["--api-token-file", &token]),
            with("http://[::]:1", &[]),
            with("https://127.0.0.1:1", &[]),
            with("https://127.0.0.1:1", &tls[..2]),
            with("unix:/run/a.sock", &tls),
            with("unix:/run/a.sock", &["--api-client-ca", "/nonexistent"]),
            with("unix:/run/a.sock", &["--api-token-file", "/nonexistent"]),
        ]
        .map(|resolved| resolved.unwrap_err().to_string())
        .into();
        insta::assert_snapshot!(said.join("\n"));
    }
}
