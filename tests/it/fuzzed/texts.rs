//! Texts that people write: zones and configurations. Read whole or refused with reasons, and what was taken can be served.

use std::io;
use std::path::Path;
use std::sync::Arc;

use windrose::answer::{Handled, Transport};
use windrose::config::{self, Problem};
use windrose::wire::Name;
use windrose::zone;

use super::decoder::text;
use super::packet::check;
use super::world::World;

/// Names of one input that are asked for.
const ASKED_MAX: usize = 40;
/// What `$INCLUDE inc` gives.
const INCLUDED: &str = "included 60 A 192.0.2.7\n$ORIGIN deeper\n@ 60 TXT x\n";

/// `zone_text`: a master file; a zone that was taken answers for each of its sets.
pub fn zone_text(data: &[u8]) {
    let Ok(master) = std::str::from_utf8(data) else { return };
    let apex: Name = "example.com".parse().expect("a name");
    let mut read = |path: &Path| match path.to_str() {
        Some("zones/z") => Ok(master.to_owned()),
        Some("zones/inc") => Ok(INCLUDED.to_owned()),
        // A file that includes itself.
        Some("zones/self") => Ok("$INCLUDE self\n".to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let zone::Loaded { zone, places, files, problems, warnings } = zone::load(&apex, Path::new("zones/z"), &mut read);
    assert!(!files.is_empty());
    assert_eq!(zone.is_none(), !problems.is_empty(), "a zone or problems: {problems:?}");
    problems.iter().chain(&warnings).for_each(|problem| told(problem, master));
    let Some(zone) = zone else { return };
    assert_eq!(places.len(), zone.sets.len());
    let sets: Vec<(Name, u16, usize)> = zone.sets.iter().map(|set| (set.owner.clone(), set.rtype, set.rdata.len())).collect();
    let mut world = World::of_zones(&[Arc::new(zone)]);
    for (owner, rtype, records) in sets.into_iter().take(ASKED_MAX) {
        let query = [&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], owner.wire(), &rtype.to_be_bytes(), &[0, 1]].concat();
        check(&mut world, &query);
        let mut out = vec![0; usize::from(u16::MAX)];
        let Handled::Reply(octets) = world.handle(&query, Transport::Tcp, &mut out) else { panic!("silence") };
        let response = text(&out[..octets]);
        assert!(response.starts_with("NOERROR"), "{owner} has {records} records of type {rtype}: {response}");
        // What lies below a cut is its glue, and told in referrals.
        let referral = !response.starts_with("NOERROR aa");
        let answers = usize::from(u16::from_be_bytes([out[6], out[7]]));
        // A set that even TCP can't carry is refused by nobody yet; it is cut.
        assert!(referral || answers == records || out[2] & 2 != 0, "{owner} has {records} records of type {rtype}: {response}");
    }
}

/// `config`: a configuration; what was taken decides and answers.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // It may name files, and they are read: none that never end.
    if ["/dev", "/proc", "/sys", "/run"].iter().any(|folder| text.contains(folder)) {
        return;
    }
    let loaded = match config::load_text(text, Path::new("fuzzed.toml")) {
        Ok(loaded) => loaded,
        Err(problems) => {
            assert!(!problems.0.is_empty(), "refused without a reason");
            problems.0.iter().for_each(|problem| told(problem, text));
            assert!(!problems.to_string().is_empty());
            return;
        }
    };
    assert!(!config::summary(&loaded).to_string().is_empty());
    let names: Vec<Name> = loaded.estate.services.iter().flat_map(|service| service.names.iter().cloned()).take(ASKED_MAX).collect();
    let mut world = World::of_loaded(loaded);
    for (name, rtype) in names.iter().flat_map(|name| [(name, 1_u16), (name, 28), (name, 255)]) {
        check(&mut world, &[&[0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], name.wire(), &rtype.to_be_bytes(), &[0, 1]].concat());
    }
}

/// A problem points into the text and can be printed.
fn told(problem: &Problem, text: &str) {
    assert!(!problem.message.is_empty());
    assert!(!problem.to_string().is_empty());
    let in_main_file = ["zones/z", "fuzzed.toml"].iter().any(|file| problem.file == Path::new(file));
    // One beyond the last line: what is missing at the end.
    assert!(!in_main_file || problem.line as usize <= text.lines().count() + 1, "{problem} in {} lines", text.lines().count());
}
