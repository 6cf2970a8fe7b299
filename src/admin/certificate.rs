//! Clients' certificates: who is named in one, and what the file lets them do.
//!
//! Never here: trust. rustls has verified chain and dates before a certificate comes here; only its end is looked at again, since connections last.

use std::sync::Arc;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::FromDer;

use crate::model::{Subject, Timestamp};

/// A client's certificate, as far as rights are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Presented {
    /// `CN=ci,O=Example`, in the certificate's order.
    pub subject: String,
    /// `DNS:ci.example.com` …
    pub alternatives: Vec<String>,
    /// When it ends.
    pub ends: Timestamp,
    /// Which terms it was verified by: see [`super::tls::Terms`].
    pub terms: u64,
}

impl Presented {
    /// From DER; `None` if it makes no sense.
    pub(super) fn read(der: &[u8], terms: u64) -> Option<Arc<Self>> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let attributes = certificate.subject().iter_attributes().filter_map(|attribute| {
            let kind = oid2abbrev(attribute.attr_type(), oid_registry()).map_or_else(|_| attribute.attr_type().to_id_string(), str::to_string);
            Some(format!("{kind}={}", escape(attribute.as_str().ok()?)))
        });
        let subject = attributes.collect::<Vec<_>>().join(",");
        let names = certificate.subject_alternative_name().ok().flatten();
        let alternatives = names.iter().flat_map(|names| &names.value.general_names).filter_map(alternative).collect();
        let ends = Timestamp(certificate.validity().not_after.timestamp().saturating_mul(1_000));
        Some(Arc::new(Self { subject, alternatives, ends, terms }))
    }

    /// The first of `subjects` that this certificate is.
    pub(super) fn found_in<'s>(&self, subjects: &'s [Subject]) -> Option<&'s Subject> {
        let own = parts(&self.subject);
        subjects
            .iter()
            .find(|subject| self.alternatives.iter().any(|name| same_alternative(name, &subject.name)) || (!own.is_empty() && parts(&subject.name) == own))
    }
}

fn alternative(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(format!("DNS:{name}")),
        GeneralName::URI(uri) => Some(format!("URI:{uri}")),
        GeneralName::RFC822Name(address) => Some(format!("EMAIL:{address}")),
        GeneralName::IPAddress(octets) => {
            let address = <[u8; 4]>::try_from(*octets).map(std::net::IpAddr::from).or_else(|_| <[u8; 16]>::try_from(*octets).map(std::net::IpAddr::from));
            address.ok().map(|address| format!("IP:{address}"))
        }
        _ => None,
    }
}

/// Host names don't mind case, everything else does.
fn same_alternative(name: &str, wanted: &str) -> bool {
    match (name.strip_prefix("DNS:"), wanted.strip_prefix("DNS:")) {
        (Some(name), Some(wanted)) => name.eq_ignore_ascii_case(wanted),
        _ => name == wanted,
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,")
}

/// `CN=ci,O=Example` taken apart and sorted: tools disagree about the order (RFC 4514 turns it around), and about the space after a comma. Empty if it is no subject.
fn parts(subject: &str) -> Vec<(String, String)> {
    let (mut parts, mut part, mut escaped) = (Vec::new(), String::new(), false);
    for character in subject.chars().chain([',']) {
        match character {
            _ if escaped => {
                part.push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            ',' => match std::mem::take(&mut part).split_once('=') {
                Some((kind, value)) => parts.push((kind.trim().to_ascii_uppercase(), value.trim().to_string())),
                None => return Vec::new(),
            },
            _ => part.push(character),
        }
    }
    parts.sort();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Scope;

    fn presented(subject: &str, alternatives: &[&str]) -> Presented {
        Presented { subject: subject.into(), alternatives: alternatives.iter().map(ToString::to_string).collect(), ends: Timestamp(0), terms: 0 }
    }

    #[test]
    fn a_subject_is_the_whole_subject_in_any_order() {
        let table = [
            ("CN=ci,O=Example", true),
            ("O=Example, CN=ci", true),
            ("cn=ci,o=Example", true),
            ("CN=ci", false),
            ("CN=ci,O=Example,OU=x", false),
            ("CN=ci,O=example", false),
            ("CN=ci\\,O=Example", false),
            ("DNS:CI.example.com", true),
            ("DNS:ci.example.org", false),
            ("URI:spiffe://x/ci", true),
            ("URI:spiffe://x/CI", false),
            ("ci", false),
            ("", false),
        ];
        let certificate = presented("O=Example,CN=ci", &["DNS:ci.example.com", "URI:spiffe://x/ci"]);
        for (name, fits) in table {
            let subjects = [Subject { name: name.into(), scope: Scope::Read, services: Vec::new() }];
            assert_eq!(certificate.found_in(&subjects).is_some(), fits, "{name}");
        }
        let nobody = presented("", &[]);
        assert!(nobody.found_in(&[Subject { name: String::new(), scope: Scope::Admin, services: Vec::new() }]).is_none(), "an empty subject is nobody");
    }

    #[test]
    fn a_real_certificate_is_read() {
        let mut params = rcgen::CertificateParams::new(vec!["ci.example.com".to_string(), "192.0.2.7".to_string()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "ci, the first");
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Example");
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let read = Presented::read(certificate.der(), 7).unwrap();
        assert_eq!(parts(&read.subject), [("CN".to_string(), "ci, the first".to_string()), ("O".to_string(), "Example".to_string())], "{}", read.subject);
        assert_eq!(
            (read.alternatives.clone(), read.ends, read.terms),
            (vec!["DNS:ci.example.com".into(), "IP:192.0.2.7".into()], Timestamp(2_208_988_800_000), 7)
        );
        assert!(Presented::read(b"nonsense", 0).is_none());
    }
}
