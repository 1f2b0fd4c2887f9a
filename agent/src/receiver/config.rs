//! The configuration of the receiver, checked.

use super::options::ReceiveOptions;
use crate::export::{ConfigError, Invalid};
use crate::listen::{Flag, Flags, ListenAddress, Listener, mode};

/// Everything that the receiver needs to know. Its Debug form holds no secrets.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    pub(super) listener: Listener,
    pub(super) socket_mode: u32,
    pub(super) max_bytes: usize,
    pub(super) connections: usize,
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
        let Some(address) = &options.receive else { return Ok(None) };
        let listener = Flags {
            flag: Flag("--receive"),
            address,
            certificate: options.receive_certificate.as_deref(),
            key: options.receive_key.as_deref(),
            client_ca: options.receive_client_ca.as_deref(),
            token_file: options.receive_token_file.as_deref(),
            insecure: options.receive_insecure,
        }
        .resolve()?;
        let wrong = |flag: &str, invalid| ConfigError::new(flag, invalid);
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
            listener,
            socket_mode,
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
        self.listener.address()
    }
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
        assert!(exposed.starts_with("--receive: other hosts can reach 0.0.0.0:4317"), "{exposed}");
        let insecure = ReceiveOptions { receive_insecure: true, ..at("0.0.0.0:4317") };
        assert!(ReceiverConfig::resolve(&insecure).is_ok());
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
                ReceiveOptions { receive_key: Some("/no/such".into()), ..at("[::1]:1") },
                "--receive-key: a certificate and its key go together",
            ),
        ];
        for (options, expected) in cases {
            let error = error(&options);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
