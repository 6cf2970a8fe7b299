//! Monitors that bring files, and what makes a target another one.

use rcgen::{CertificateParams, KeyPair};

use crate::model::Verify;

use super::*;

/// A folder with a certificate, its key, and rubbish.
fn shop() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["api.example.com".to_string()]).unwrap().self_signed(&key).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("c.pem", &certificate.pem());
    write("c.key", &key.serialize_pem());
    write("other.key", &KeyPair::generate().unwrap().serialize_pem());
    write("rubbish.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    write("html.pem", "<html>login</html>");
    folder
}

fn load_in(folder: &Path, monitor: &str) -> Result<Loaded, Problems> {
    let text = format!("schema = 1\n[monitor.m]\n{monitor}\n[pool.a]\nmonitor = 'm'\nendpoints = ['192.0.2.1']\n");
    load_text(&text, &folder.join("w.toml"))
}

#[track_caller]
fn refused(folder: &Path, monitor: &str) -> String {
    let problems = load_in(folder, monitor).map(|_| ()).unwrap_err().0;
    problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect::<Vec<_>>().join("; ")
}

fn key_of(folder: &Path, monitor: &str) -> String {
    load_in(folder, monitor).unwrap_or_else(|problems| panic!("{problems}")).estate.targets[0].key.to_string()
}

#[test]
fn certificates_and_keys_are_read_and_rubbish_is_a_problem() {
    let folder = shop();
    let loaded =
        load_in(folder.path(), "tls = 443\nsni = 'api.example.com'\nca = 'c.pem'\ncert = 'c.pem'\nkey = 'c.key'\nexpires_within = '14d'\nexpiry_down = true")
            .unwrap();
    let terms = loaded.estate.monitors[0].check.tls().unwrap();
    assert_eq!((terms.sni.as_deref(), terms.verify, terms.expiry_down), (Some("api.example.com"), Verify::Full, true));
    assert_eq!(terms.expires_within, Some(Duration::from_secs(14 * 86_400)));
    assert_eq!(terms.ca.as_ref().unwrap().certificates, terms.identity.as_ref().unwrap().chain);
    assert!(["c.pem", "c.key"].iter().all(|name| loaded.files.iter().any(|file| file.ends_with(name))), "a reload looks at them");

    let tls = |keys: &str| refused(folder.path(), &format!("tls = 443\nsni = 'x'\n{keys}"));
    assert!(tls("ca = 'rubbish.pem'").starts_with("monitor.m.ca: `rubbish.pem`: certificate 1 in it can't be trusted"), "{}", tls("ca = 'rubbish.pem'"));
    assert_eq!(tls("ca = 'html.pem'"), "monitor.m.ca: `html.pem`: there is no certificate in it");
    assert_eq!(tls("cert = 'c.pem'\nkey = 'html.pem'"), "monitor.m.key: `html.pem` holds no private key");
    assert!(tls("cert = 'c.pem'\nkey = 'other.key'").starts_with("monitor.m.cert: `c.pem` and `other.key` can't be used together"));
}

#[test]
fn a_private_key_is_in_no_debug_text_and_one_that_all_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = shop();
    let monitor = "url = 'https://api.example.com/'\ncert = 'c.pem'\nkey = 'c.key'";
    std::fs::set_permissions(folder.path().join("c.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let loaded = load_in(folder.path(), monitor).unwrap();
    let of_key =
        |loaded: Loaded| loaded.warnings.into_iter().filter(|warning| warning.path == "monitor.m.key").map(|warning| warning.message).collect::<Vec<_>>();
    assert_eq!(of_key(loaded.clone()), ["everybody on this host can read `c.key`"]);
    let debug = format!("{:?}", loaded.estate);
    assert!(debug.contains("secret: Secret(…)"), "{debug}");
    std::fs::set_permissions(folder.path().join("c.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(of_key(load_in(folder.path(), monitor).unwrap()).is_empty());
}

#[test]
fn what_is_asked_makes_the_target_and_what_a_file_holds_does_not() {
    let folder = shop();
    let key = |monitor: &str| key_of(folder.path(), monitor);
    let tls = "tls = 443\nsni = 'x'\n";
    let mut keys = vec![key("tcp = 443"), key("tcp = 443\nsend = 'a'"), key("tcp = 443\nexpect = 'a'"), key("tcp = 443\nsend = 'a'\nexpect = 'a'")];
    keys.extend(
        ["", "verify = 'none'", "ca = 'c.pem'", "cert = 'c.pem'\nkey = 'c.key'", "expires_within = '2d'\nexpiry_down = true"]
            .map(|more| key(&format!("{tls}{more}"))),
    );
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count, "{keys:?}");
    assert_eq!(key(&format!("{tls}expires_within = '2d'")), key(tls), "a warning changes no verdict");
    let before = key(&format!("{tls}cert = 'c.pem'\nkey = 'c.key'"));
    let renewed = shop();
    assert_eq!(key_of(renewed.path(), &format!("{tls}cert = 'c.pem'\nkey = 'c.key'")), before);
}
