//! The configuration of the receiver, checked.

use std::fmt;
use std::path::{Path, PathBuf};

use tonic::transport::ServerTlsConfig;

use super::address::ListenAddress;
use super::options::ReceiveOptions;
use crate::export::{ConfigError, Invalid, Setting, TlsFiles};
use crate::token::Token;

/// Everything that the receiver needs to know. Its Debug form holds no secrets.
#[derive(Clone)]
pub struct ReceiverConfig {
    pub(super) address: ListenAddress,
    pub(super) socket_mode: u32,
    pub(super) tls: Option<ServerTlsConfig>,
    pub(super) token: Option<Token>,
    pub(super) max_bytes: usize,
    pub(super) connections: usize,
}

impl fmt::Debug for ReceiverConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiverConfig")
            .field("address", &self.address)
            .field("tls", &self.tls.is_some())
            .field("token", &self.token.is_some())
            .finish_non_exhaustive()
    }
}

impl ReceiverConfig {
    /// Largest request unless configured: what gRPC servers take by default.
    pub const DEFAULT_BYTES: usize = 4 << 20;

    /// Connections unless configured: more than a node's collector needs, and enough for the
    /// applications of a node.
    pub const DEFAULT_CONNECTIONS: usize = 64;

    /// Permissions of the unix socket unless configured: only for the agent's own user.
    pub const DEFAULT_MODE: u32 = 0o600;

    /// Checks the flags and reads the files that they name; `None` without `--receive`.
    ///
    /// # Errors
    /// When a flag cannot be used, or when anybody on the network could send spans and nobody has
    /// said that they may.
    pub fn resolve(options: &ReceiveOptions) -> Result<Option<Self>, ConfigError> {
        let Some(text) = &options.receive else { return Ok(None) };
        let wrong = |flag: &str, invalid| ConfigError::new(flag, invalid);
        let address = ListenAddress::parse(text)
            .ok_or_else(|| wrong("--receive", Invalid::Listen(text.clone())))?;
        let tls = tls(options)?;
        let token = options.receive_token_file.as_deref().map(Token::read).transpose();
        let token = token.map_err(|invalid| wrong("--receive-token-file", invalid))?;
        let is_guarded = token.is_some() || options.receive_client_ca.is_some();
        if address.is_exposed() && !is_guarded && !options.receive_insecure {
            return Err(wrong("--receive", Invalid::Exposed(text.clone())));
        }
        let socket_mode = match &options.receive_socket_mode {
            Some(text) => mode(text)
                .ok_or_else(|| wrong("--receive-socket-mode", Invalid::Mode(text.clone())))?,
            None => Self::DEFAULT_MODE,
        };
        let positive = |flag: &str, value: Option<usize>, default| match value {
            Some(0) => Err(wrong(flag, Invalid::Zero)),
            value => Ok(value.unwrap_or(default)),
        };
        Ok(Some(Self {
            address,
            socket_mode,
            tls,
            token,
            max_bytes: positive(
                "--receive-max-bytes",
                options.receive_max_bytes,
                Self::DEFAULT_BYTES,
            )?,
            connections: positive(
                "--receive-connections",
                options.receive_connections,
                Self::DEFAULT_CONNECTIONS,
            )?,
        }))
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> &ListenAddress {
        &self.address
    }
}

fn tls(options: &ReceiveOptions) -> Result<Option<ServerTlsConfig>, ConfigError> {
    let setting = |flag: &str, path: &Option<PathBuf>| {
        path.as_deref().map(|path: &Path| Setting::new(flag, path.to_owned()))
    };
    let files = TlsFiles {
        ca: setting("--receive-client-ca", &options.receive_client_ca),
        certificate: setting("--receive-certificate", &options.receive_certificate),
        key: setting("--receive-key", &options.receive_key),
    };
    let wants_clients = files.ca.is_some();
    let config = files.load()?.server_config();
    if config.is_none() && wants_clients {
        return Err(ConfigError::new("--receive-client-ca", Invalid::NoIdentity));
    }
    Ok(config)
}

/// Permissions that let nobody execute.
fn mode(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| mode & !0o666 == 0 && mode & 0o600 == 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> ReceiveOptions {
        ReceiveOptions { receive: Some(address.to_owned()), ..ReceiveOptions::default() }
    }

    fn error(options: &ReceiveOptions) -> String {
        ReceiverConfig::resolve(options).expect_err("an error").to_string()
    }

    #[test]
    fn without_an_address_there_is_none() {
        assert!(ReceiverConfig::resolve(&ReceiveOptions::default()).expect("no error").is_none());
    }

    #[test]
    fn the_network_is_let_in_only_when_told_so() {
        assert!(ReceiverConfig::resolve(&at("127.0.0.1:4317")).is_ok());
        let exposed = error(&at("0.0.0.0:4317"));
        assert!(exposed.starts_with("--receive: other hosts could send spans"), "{exposed}");
        let insecure = ReceiveOptions { receive_insecure: true, ..at("0.0.0.0:4317") };
        assert!(ReceiverConfig::resolve(&insecure).is_ok());
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("token");
        std::fs::write(&file, "a-rather-long-secret\n").expect("a file");
        let token = ReceiveOptions { receive_token_file: Some(file), ..at("0.0.0.0:4317") };
        let config = ReceiverConfig::resolve(&token).expect("guarded").expect("an address");
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let cases = [
            (at("localhost:4317"), "--receive: \"localhost:4317\" is no address to listen on"),
            (
                ReceiveOptions { receive_socket_mode: Some("777".into()), ..at("unix:/x") },
                "--receive-socket-mode: \"777\" are no permissions",
            ),
            (
                ReceiveOptions { receive_max_bytes: Some(0), ..at("unix:/x") },
                "--receive-max-bytes: it must be more than zero",
            ),
            (
                ReceiveOptions { receive_token_file: Some("/no/such".into()), ..at("unix:/x") },
                "--receive-token-file: cannot read /no/such",
            ),
            (
                ReceiveOptions { receive_token_file: Some("/dev/null".into()), ..at("unix:/x") },
                "--receive-token-file: /dev/null holds no token",
            ),
            (
                ReceiveOptions { receive_key: Some("/no/such".into()), ..at("unix:/x") },
                "--receive-key: a certificate and its key go together",
            ),
        ];
        for (options, expected) in cases {
            let error = error(&options);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
