//! `https` upstreams: the server's certificate is verified against its name.

use std::sync::Arc;

use baluarte_proxy::{ServerAddress, TlsClient, UpstreamSpec};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use crate::harness::*;

const CA: &[u8] = include_bytes!("tls/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("tls/cert.pem");
const KEY: &[u8] = include_bytes!("tls/key.pem");

/// Speaks TLS as `localhost`.
async fn https() -> u16 {
    let chain = CertificateDer::pem_slice_iter(CERTIFICATE).collect::<Result<Vec<_>, _>>().unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(KEY).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let addr = upstream(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                head.push(byte);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret").await;
        }
    })
    .await;
    addr.port()
}

async fn ask(server: &str, tls: TlsClient) -> String {
    let mut spec = UpstreamSpec::new("app", vec![server.parse::<ServerAddress>().unwrap()]);
    spec.tls = Some(tls);
    get(front(spec).await.addr, "/").await
}

#[test]
fn a_server_is_reached_when_its_certificate_fits() {
    run(async {
        let port = https().await;
        let seen = ask(&format!("https://localhost:{port}"), TlsClient::with_authorities(CA).unwrap()).await;
        assert!(seen.ends_with("secret"), "{seen}");
    });
}

#[test]
fn another_name_or_authority_is_refused() {
    run(async {
        let port = https().await;
        let other_name = ask(&format!("https://127.0.0.1:{port}"), TlsClient::with_authorities(CA).unwrap()).await;
        assert!(other_name.ends_with("unreachable"), "{other_name}");
        // The leaf is no authority of itself.
        let other_authority = ask(&format!("https://localhost:{port}"), TlsClient::system().unwrap()).await;
        assert!(other_authority.ends_with("unreachable"), "{other_authority}");
    });
}

#[test]
fn a_file_without_certificates_is_no_authority() {
    assert!(TlsClient::with_authorities(KEY).is_err());
    assert!(TlsClient::with_authorities(b"").is_err());
}
