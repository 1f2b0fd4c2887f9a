//! Who is let in: what flags say, and whether that lets in whom it should not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tonic::transport::ServerTlsConfig;

use super::Listener;
use super::address::ListenAddress;
use super::token::Token;
use crate::export::{ConfigError, Invalid, Setting, TlsFiles};

/// A flag that names an address, such as `--api`: those that go with it begin as it does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag(pub(crate) &'static str);

impl Flag {
    /// A flag that goes with it.
    pub(crate) fn with(self, end: &str) -> String {
        format!("{}-{end}", self.0)
    }

    fn file(self, end: &str, path: Option<&Path>) -> Option<Setting<PathBuf>> {
        path.map(|path| Setting::new(self.with(end), path.to_owned()))
    }
}

/// What the command line says of one address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags<'a> {
    pub(crate) flag: Flag,
    /// FLAG itself.
    pub(crate) address: &'a str,
    /// FLAG-certificate
    pub(crate) certificate: Option<&'a Path>,
    /// FLAG-key
    pub(crate) key: Option<&'a Path>,
    /// FLAG-client-ca
    pub(crate) client_ca: Option<&'a Path>,
    /// FLAG-token-file
    pub(crate) token_file: Option<&'a Path>,
    /// FLAG-insecure
    pub(crate) insecure: bool,
}

impl Flags<'_> {
    /// Checks the flags, and reads the files that they name.
    ///
    /// # Errors
    /// When a flag cannot be used, or when other hosts could get in whom nobody has let in.
    pub(crate) fn resolve(&self) -> Result<Listener, ConfigError> {
        let wrong = |invalid| ConfigError::new(self.flag.0, invalid);
        let address = ListenAddress::parse(self.address)
            .ok_or_else(|| wrong(Invalid::Listen(self.address.to_owned())))?;
        let tls = self.tls(&address)?;
        let token = match self.flag.file("token-file", self.token_file) {
            Some(file) => Some(Arc::new(file.parse(|path| Token::read(&path))?.value)),
            None => None,
        };
        if address.is_exposed() && !self.insecure {
            let address = address.to_string();
            if tls.is_none() {
                return Err(wrong(Invalid::Plain { address, flag: self.flag.0 }));
            }
            if self.client_ca.is_none() && token.is_none() {
                return Err(wrong(Invalid::Exposed { address, flag: self.flag.0 }));
            }
        }
        Ok(Listener { flag: self.flag.0.to_owned(), address, tls, token })
    }

    fn tls(&self, address: &ListenAddress) -> Result<Option<ServerTlsConfig>, ConfigError> {
        let files = TlsFiles {
            ca: self.flag.file("client-ca", self.client_ca),
            certificate: self.flag.file("certificate", self.certificate),
            key: self.flag.file("key", self.key),
        };
        if let ListenAddress::Unix(_) = address {
            let TlsFiles { ca, certificate, key } = files;
            return match ca.or(certificate).or(key) {
                Some(file) => Err(ConfigError::new(file.origin, Invalid::NotOnSocket)),
                None => Ok(None),
            };
        }
        let config = files.load()?.server_config();
        if config.is_none() && self.client_ca.is_some() {
            let invalid = Invalid::NoIdentity { flag: self.flag.0 };
            return Err(ConfigError::new(self.flag.with("client-ca"), invalid));
        }
        Ok(config)
    }
}

/// Permissions of a unix socket, in octal, that let nobody execute.
pub(crate) fn mode(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| mode & !0o666 == 0 && mode & 0o600 == 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(address: &str) -> Flags<'_> {
        Flags {
            flag: Flag("--api"),
            address,
            certificate: None,
            key: None,
            client_ca: None,
            token_file: None,
            insecure: false,
        }
    }

    fn error(flags: Flags<'_>) -> String {
        flags.resolve().expect_err("an error").to_string()
    }

    #[test]
    fn what_only_this_node_can_reach_needs_nothing() {
        for address in ["unix:/run/a.sock", "127.0.0.1:1", "[::1]:1"] {
            on(address).resolve().expect(address);
        }
    }

    #[test]
    fn nobody_is_let_in_by_mistake() {
        let directory = tempfile::tempdir().expect("a directory");
        let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("one");
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        let certificate = file("cert.pem", &identity.cert.pem());
        let key = file("key.pem", &identity.signing_key.serialize_pem());
        let token = file("token", "0123456789abcdef");
        let tls =
            |address| Flags { certificate: Some(&certificate), key: Some(&key), ..on(address) };
        let all = "0.0.0.0:1";
        for flags in [
            Flags { client_ca: Some(&certificate), ..tls(all) },
            Flags { token_file: Some(&token), ..tls(all) },
            Flags { insecure: true, ..tls(all) },
            Flags { insecure: true, ..on(all) },
            Flags { insecure: true, token_file: Some(&token), ..on(all) },
            tls("127.0.0.1:1"),
        ] {
            let listener = flags.resolve().expect("somebody has said so");
            assert!(!format!("{listener:?}").contains("0123456789abcdef"));
            assert_eq!(listener.tls.is_some(), flags.certificate.is_some());
            assert_eq!(listener.token.is_some(), flags.token_file.is_some());
        }

        let unreadable = Path::new("/nonexistent");
        let said: Vec<_> = [
            tls(all),
            on(all),
            Flags { token_file: Some(&token), ..on("10.0.0.1:1") },
            on("[::]:1"),
            on("localhost:1"),
            Flags { client_ca: Some(&certificate), ..on("127.0.0.1:1") },
            Flags { key: None, ..tls("127.0.0.1:1") },
            Flags { certificate: None, ..tls("127.0.0.1:1") },
            tls("unix:/run/a.sock"),
            Flags { client_ca: Some(unreadable), ..on("unix:/run/a.sock") },
            Flags { token_file: Some(unreadable), ..on("unix:/run/a.sock") },
            Flags { token_file: Some(Path::new("/dev/null")), ..on("unix:/run/a.sock") },
        ]
        .into_iter()
        .map(error)
        .collect();
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn permissions() {
        for (text, expected) in [
            ("600", Some(0o600)),
            ("0660", Some(0o660)),
            ("666", Some(0o666)),
            ("777", None),
            ("060", None),
            ("4600", None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(mode(text), expected, "{text}");
        }
    }
}
