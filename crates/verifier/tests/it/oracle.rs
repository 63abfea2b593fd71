//! Another implementation, the crate `jsonwebtoken`, makes and reads the same tokens.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::Value;

use crate::service::{Service, claims};
use crate::signer::{Pair, Signer};

fn encoding_key(signer: &Signer) -> (Algorithm, EncodingKey) {
    match &signer.pair {
        Pair::Ed(pair) => {
            let der = pair.to_pkcs8v1().expect("PKCS#8");
            (Algorithm::EdDSA, EncodingKey::from_ed_der(der.as_ref()))
        }
        Pair::Ec(pair) => {
            let der = pair.to_pkcs8v1().expect("PKCS#8");
            (Algorithm::ES256, EncodingKey::from_ec_der(der.as_ref()))
        }
        Pair::Rsa(pair) => {
            let der: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS#8");
            // The key of PKCS#1 lies behind 26 bytes of PKCS#8.
            (Algorithm::RS256, EncodingKey::from_rsa_der(&der.as_ref()[26..]))
        }
    }
}

#[tokio::test]
async fn tokens_of_jsonwebtoken_are_taken_and_ours_by_it() {
    let signers = [Signer::ed("ed"), Signer::ec("ec"), Signer::rsa("rsa", KeySize::Rsa3072)];
    let service = Service::start(&signers.iter().collect::<Vec<_>>()).await;
    let verifier = service.verifier();
    for signer in &signers {
        let (algorithm, key) = encoding_key(signer);
        let header = Header { kid: Some(signer.kid.into()), ..Header::new(algorithm) };
        let theirs = jsonwebtoken::encode(&header, &claims(), &key).expect("a token");
        let taken = verifier.check(&theirs).await.expect("a good token");
        assert_eq!((taken.user_id(), taken.subject()), (Some(42), "42"));

        let jwk = serde_json::from_value(signer.jwk()).expect("a key");
        let key = DecodingKey::from_jwk(&jwk).expect("a key");
        let mut validation = Validation::new(algorithm);
        validation.validate_exp = true;
        let ours = signer.access(&claims());
        let read = jsonwebtoken::decode::<Value>(&ours, &key, &validation).expect("a good token");
        assert_eq!(read.claims, claims());
        verifier.check(&ours).await.expect("a good token");
    }
}
