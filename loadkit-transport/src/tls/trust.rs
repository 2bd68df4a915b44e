//! Whom to trust.

use std::sync::Arc;

use loadkit_core::{Failure, Kind};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Whose certificates are accepted. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust(Whom);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Whom {
    #[default]
    Web,
    Roots(Arc<[CertificateDer<'static>]>),
    Anything,
}

impl Trust {
    /// The authorities that browsers trust (Mozilla's list, as it was when the kit was built). The default.
    pub fn web() -> Trust {
        Trust(Whom::Web)
    }

    /// These authorities and no others: one or more certificates in PEM. A server's own self-signed certificate does.
    ///
    /// ```no_run
    /// # use loadkit_transport::Trust;
    /// # fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// let studio = Trust::roots(std::fs::read("studio-ca.pem")?)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `TARGET` when that is not PEM, or has no certificate in it.
    pub fn roots(pem: impl AsRef<[u8]>) -> Result<Trust, Failure> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_ref()).collect();
        let unread = |why: &dyn std::fmt::Display| {
            Failure::new(Kind::TARGET, format!("the certificates to trust cannot be read: {why}"))
        };
        let certificates = certificates.map_err(|error| unread(&error))?;
        if certificates.is_empty() {
            return Err(unread(&"there is no CERTIFICATE section in the PEM"));
        }
        let trust = Trust(Whom::Roots(certificates.into()));
        trust.store().map(|_| trust)
    }

    /// Any certificate, whoever it is for and whoever made it: for test servers. What is read may come from anybody.
    ///
    /// Every connection made so is counted as `net.tls_unverified`, and so stands in the report.
    pub fn anything() -> Trust {
        Trust(Whom::Anything)
    }

    /// Whether certificates are not verified.
    pub fn is_unverified(&self) -> bool {
        self.0 == Whom::Anything
    }

    /// A client's configuration that trusts so.
    pub(crate) fn config(&self) -> Result<ClientConfig, Failure> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| super::failure(&error))?;
        let mut config = if self.is_unverified() {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anything(provider))).with_no_client_auth()
        } else {
            builder.with_root_certificates(self.store()?).with_no_client_auth()
        };
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn store(&self) -> Result<RootCertStore, Failure> {
        let mut store = RootCertStore::empty();
        match &self.0 {
            Whom::Web => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Whom::Anything => {}
            Whom::Roots(certificates) => {
                for certificate in certificates.iter() {
                    store.add(certificate.clone()).map_err(|error| {
                        Failure::new(Kind::TARGET, format!("a certificate to trust cannot be used: {error}"))
                    })?;
                }
            }
        }
        Ok(store)
    }
}

/// Verifies that the server has the key of its certificate, and nothing about the certificate.
#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused_at_once() {
        for (pem, why) in [
            ("", "no CERTIFICATE section"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "cannot be read"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be used"),
        ] {
            let failure = Trust::roots(pem).unwrap_err();
            assert!(failure.kind() == Kind::TARGET && failure.message().contains(why), "{failure}");
        }
        assert!(Trust::web().config().is_ok() && !Trust::default().is_unverified());
        assert!(Trust::anything().config().is_ok() && Trust::anything().is_unverified());
    }
}
