//! The fetch function that is used unless another is given: HTTP/1.1 by hyper, TLS by rustls with the system's roots.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};

use super::{Fetch, FetchError, FetchRequest, Fetched};

type HttpClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// Makes the function. The system's root certificates are read only `with_tls`.
///
/// # Errors
/// When there are no root certificates, or none that can be read.
pub(crate) fn http_fetch(with_tls: bool) -> Result<Fetch, FetchError> {
    let connector = if with_tls {
        HttpsConnectorBuilder::new().with_provider_and_native_roots(default_provider())?
    } else {
        HttpsConnectorBuilder::new().with_tls_config(no_roots()?)
    };
    let connector = connector.https_or_http().enable_http1().build();
    let client: HttpClient = Client::builder(TokioExecutor::new()).build(connector);
    Ok(Arc::new(move |request| Box::pin(get(client.clone(), request))))
}

/// TLS that trusts nobody.
fn no_roots() -> Result<ClientConfig, FetchError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

async fn get(client: HttpClient, request: FetchRequest) -> Result<Fetched, FetchError> {
    let message = Request::get(request.url).header(ACCEPT, request.accept).body(Empty::new())?;
    let response = client.request(message).await?;
    // A redirect is not followed: it is no 200.
    if response.status() != StatusCode::OK {
        return Err(format!("the answer has status {}", response.status()).into());
    }
    let cache_control = response.headers().get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let cache_control = cache_control.map(str::to_owned);
    let body = Limited::new(response.into_body(), request.max_body).collect().await?.to_bytes();
    Ok(Fetched { body: body.into(), cache_control })
}
