//! Certificates for tests.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// A certification authority, with its certificate in a file.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// A certificate with its key, in PEM form and as files.
pub struct Credentials {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// File with the certificate; lives as long as the authority.
    pub certificate_file: PathBuf,
    /// File with the key; lives as long as the authority.
    pub key_file: PathBuf,
}

impl Authority {
    /// A new authority that nobody else trusts.
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a CA");
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).expect("a file");
        Self { issuer, dir }
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// A file with it.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Issues a certificate for a host name.
    pub fn issue(&self, name: &str) -> Credentials {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        let key = key.serialize_pem();
        let file = |suffix| self.dir.path().join(format!("{name}.{suffix}"));
        let (certificate_file, key_file) = (file("pem"), file("key"));
        std::fs::write(&certificate_file, &certificate).expect("a file");
        std::fs::write(&key_file, &key).expect("a file");
        Credentials { certificate, key, certificate_file, key_file }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
