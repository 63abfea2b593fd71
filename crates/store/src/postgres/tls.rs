//! TLS to the server, by rustls.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_rustls::TlsConnector;

use super::options::{Roots, Trust};
use crate::{Error, Result};

/// Makes TLS connections with the trust that was asked for.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

impl Tls {
    pub(super) fn new(trust: &Trust) -> Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match trust {
            // Without TLS it is never asked.
            Trust::NoTls | Trust::Anything => Arc::new(Anyone(Arc::clone(&provider))),
            Trust::Signed(roots) => Arc::new(AnyHost(verifier(roots, &provider)?)),
            Trust::SignedForHost(roots) => verifier(roots, &provider)?,
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(&error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

fn refused(error: &dyn std::error::Error) -> Error {
    Error::Refused(format!("TLS to the database cannot be set up: {error}").into())
}

fn verifier(roots: &Roots, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
    let mut store = RootCertStore::empty();
    match roots {
        // What cannot be read among the system's is no reason to refuse the rest.
        Roots::System => _ = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
        Roots::File(path) => {
            let fault = |error: &dyn std::error::Error| {
                Error::Refused(format!("sslrootcert {} cannot be used: {error}", path.display()).into())
            };
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| fault(&error))? {
                let certificate = certificate.map_err(|error| fault(&error))?;
                store.add(certificate).map_err(|error| fault(&error))?;
            }
        }
    }
    if store.is_empty() {
        return Err(Error::Refused(
            "no certificate authority to check the database's certificate with was found".into(),
        ));
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
        .build()
        .map_err(|error| refused(&error))
}

type Verified = std::result::Result<ServerCertVerified, rustls::Error>;
type Signed = std::result::Result<HandshakeSignatureValid, rustls::Error>;

/// `prefer` and `require`: whoever answers is taken.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Verified {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        text: &[u8],
        cert: &CertificateDer<'_>,
        by: &DigitallySignedStruct,
    ) -> Signed {
        verify_tls12_signature(text, cert, by, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        text: &[u8],
        cert: &CertificateDer<'_>,
        by: &DigitallySignedStruct,
    ) -> Signed {
        verify_tls13_signature(text, cert, by, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// `verify-ca`: all of the check but the name, which comes last in it.
#[derive(Debug)]
struct AnyHost(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyHost {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Verified {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        match self.0.verify_server_cert(certificate, others, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        text: &[u8],
        cert: &CertificateDer<'_>,
        by: &DigitallySignedStruct,
    ) -> Signed {
        self.0.verify_tls12_signature(text, cert, by)
    }

    fn verify_tls13_signature(
        &self,
        text: &[u8],
        cert: &CertificateDer<'_>,
        by: &DigitallySignedStruct,
    ) -> Signed {
        self.0.verify_tls13_signature(text, cert, by)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = TlsStream;
    type TlsConnect = ToHost;
    type Error = rustls::pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, host: &str) -> std::result::Result<ToHost, Self::Error> {
        // A socket in the file system has no name and never gets as far as TLS.
        let name = if host.is_empty() { "localhost" } else { host };
        Ok(ToHost { config: Arc::clone(&self.0), name: ServerName::try_from(name)?.to_owned() })
    }
}

/// One handshake to come.
pub(super) struct ToHost {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsConnect<Socket> for ToHost {
    type Stream = TlsStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TlsStream>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let stream = TlsConnector::from(self.config).connect(self.name, socket).await?;
            Ok(TlsStream(Box::new(stream)))
        })
    }
}

/// An encrypted connection.
pub(super) struct TlsStream(Box<tokio_rustls::client::TlsStream<Socket>>);

impl tokio_postgres::tls::TlsStream for TlsStream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
