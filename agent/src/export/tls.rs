//! Certificates and keys: of the connection to a backend, and of what the agent listens on.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};

use super::env::Setting;
use super::error::{ConfigError, Invalid};

/// What TLS needs: whom to trust, and who we are.
#[derive(Clone)]
pub(crate) struct TlsMaterial {
    /// CA certificates in PEM form; the system's where none are given.
    ca: Option<Vec<u8>>,
    /// Certificate chain and key in PEM form, for backends that ask (mTLS).
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsMaterial")
            .field("ca", &self.ca.is_some())
            .field("identity", &self.identity.is_some())
            .finish()
    }
}

/// Files named by flags or variables.
#[derive(Debug, Default)]
pub(crate) struct TlsFiles {
    pub(crate) ca: Option<Setting<PathBuf>>,
    pub(crate) certificate: Option<Setting<PathBuf>>,
    pub(crate) key: Option<Setting<PathBuf>>,
}

impl TlsFiles {
    /// Reads the files. Looks into them, too: a CA file without a certificate would be taken, and
    /// then trust nobody.
    pub(crate) fn load(self) -> Result<TlsMaterial, ConfigError> {
        let certificates = |pem: &[u8]| {
            let mut found = CertificateDer::pem_slice_iter(pem).peekable();
            found.peek().is_some() && found.all(|certificate| certificate.is_ok())
        };
        let key = |pem: &[u8]| PrivateKeyDer::from_pem_slice(pem).is_ok();
        let ca = self.ca.map(|file| read(file, "certificate", certificates)).transpose()?;
        let identity = match (self.certificate, self.key) {
            (None, None) => None,
            (Some(certificate), Some(file)) => Some((
                read(certificate, "certificate", certificates)?,
                read(file, "private key", key)?,
            )),
            (Some(certificate), None) => {
                return Err(ConfigError::new(certificate.origin, Invalid::HalfIdentity("key")));
            }
            (None, Some(key)) => {
                return Err(ConfigError::new(key.origin, Invalid::HalfIdentity("certificate")));
            }
        };
        Ok(TlsMaterial { ca, identity })
    }
}

fn read(
    file: Setting<PathBuf>,
    wanted: &'static str,
    holds: impl Fn(&[u8]) -> bool,
) -> Result<Vec<u8>, ConfigError> {
    let read = |path: PathBuf| match std::fs::read(&path) {
        Ok(pem) if holds(&pem) => Ok(pem),
        Ok(_) => Err(Invalid::Pem { path, wanted }),
        Err(error) => Err(Invalid::Read { path, error }),
    };
    Ok(file.parse(read)?.value)
}

impl TlsMaterial {
    /// Settings of tonic's TLS connector.
    pub(crate) fn client_config(&self) -> ClientTlsConfig {
        let config = match &self.ca {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        match &self.identity {
            Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
            None => config,
        }
    }

    /// Settings of tonic's TLS server, which lets in only clients of the CA, if there is one; `None`
    /// without an identity to show them.
    pub(crate) fn server_config(&self) -> Option<ServerTlsConfig> {
        let (certificate, key) = self.identity.as_ref()?;
        let config = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        Some(match &self.ca {
            Some(pem) => config.client_ca_root(Certificate::from_pem(pem)),
            None => config,
        })
    }
}

/// A file named by a flag, or else by a variable.
pub(crate) fn file(
    flag: &str,
    path: Option<&Path>,
    variable: Option<Setting<String>>,
) -> Option<Setting<PathBuf>> {
    match path {
        Some(path) => Some(Setting::new(flag, path.to_owned())),
        None => variable.map(|s| Setting { origin: s.origin, value: s.value.into() }),
    }
}
