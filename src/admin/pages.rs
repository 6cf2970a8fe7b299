//! Pages of lists, and the cursors between them.
//!
//! A cursor names the *key* of the last entry that was seen, not how many there were: lists are ordered by key, so an entry that comes or goes between two
//! pages is missed by nobody and shifts nothing. It also says which list it belongs to, path and filters, and of which form it is:
//!
//! ```text
//! base64url( form ‖ first 8 octets of SHA-256(path, filters) ‖ key )
//! ```
//!
//! Never here: state. A cursor works for as long as the list exists, on every node, after every restart.

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::control::Core;
use crate::model::Timestamp;

use super::api::{Fault, List};
use super::body::Query;
use super::problem::Refused;

/// Most entries of one page, and how many come of most lists unless told otherwise.
pub(super) const PAGE_MAX: usize = 1_000;
/// The form of cursors that this program writes and reads.
const FORM: u8 = 1;
/// Octets that name a list.
const MARK: usize = 8;
/// Longest cursor that is looked at; keys are names.
const CURSOR_MAX: usize = 1_024;

/// Where an entry stands in its list: lists are ordered by it, and no two entries share one.
pub(super) type Key<'a> = Cow<'a, [u8]>;

/// By name.
pub(super) fn named(name: &str) -> Key<'_> {
    Cow::Borrowed(name.as_bytes())
}

/// By number, smallest first.
pub(super) fn numbered(number: u64) -> Key<'static> {
    Cow::Owned(number.to_be_bytes().to_vec())
}

/// By number, greatest first.
pub(super) fn newest(number: u64) -> Key<'static> {
    numbered(!number)
}

/// By moment, newest first; `name` tells those of one millisecond apart.
pub(super) fn newest_at(at: Timestamp, name: &str) -> Key<'static> {
    // Moves i64 to u64 in its order.
    let at = (at.0 as u64) ^ (1 << 63);
    Cow::Owned([&(!at).to_be_bytes(), name.as_bytes()].concat())
}

/// Which list a request asks for: its path and its filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Which([u8; MARK]);

impl Which {
    fn of(uri: &Uri) -> Self {
        let mut filters: Vec<&str> = uri.query().unwrap_or_default().split('&').filter(|part| !part.is_empty() && !is_about_pages(part)).collect();
        filters.sort_unstable();
        let mut digest = Sha256::new();
        for part in std::iter::once(uri.path()).chain(filters) {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let mut mark = [0; MARK];
        mark.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
        Self(mark)
    }

    /// A page of it. `limit` is bounded, `usual` goes without one.
    pub(super) fn page(self, limit: Option<usize>, cursor: Option<&str>, usual: usize) -> Result<Page, Refused> {
        let after = cursor.map(|cursor| self.read(cursor)).transpose()?;
        Ok(Page { limit: limit.unwrap_or(usual).clamp(1, PAGE_MAX), after, which: self })
    }

    fn write(self, key: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode([&[FORM], self.0.as_slice(), key].concat())
    }

    fn read(self, cursor: &str) -> Result<Vec<u8>, Refused> {
        let octets = Some(cursor).filter(|cursor| cursor.len() <= CURSOR_MAX).and_then(|cursor| URL_SAFE_NO_PAD.decode(cursor).ok());
        let message = match octets.as_deref().and_then(|octets| octets.split_first()) {
            Some((&FORM, rest)) => match rest.split_at_checked(MARK) {
                Some((mark, key)) if mark == self.0 => return Ok(key.to_vec()),
                Some(_) => "the cursor belongs to another list, or to the same one with other filters",
                None => "the cursor is cut off",
            },
            Some(_) => "the cursor is of another release, or of none",
            None => "this is not a cursor",
        };
        let hint = "send next_cursor of the page before as it is, with the same path and filters; or begin anew without a cursor".to_string();
        Err(Refused::invalid(vec![Fault { pointer: "/cursor".into(), code: "cursor".into(), message: message.into(), hint, ..Fault::default() }]))
    }
}

fn is_about_pages(part: &str) -> bool {
    matches!(part.split('=').next(), Some("limit" | "cursor"))
}

impl<S: Sync> FromRequestParts<S> for Which {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        Ok(Self::of(&parts.uri))
    }
}

/// Which part of a list.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub limit: usize,
    /// The key of the last entry of the page before.
    after: Option<Vec<u8>>,
    which: Which,
}

/// How [`Page`] is asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// Entries of one page; at most 1,000 come.
    limit: Option<usize>,
    /// `next_cursor` of the page before, as it is.
    cursor: Option<String>,
}

/// Of lists without filters.
impl<S: Sync> FromRequestParts<S> for Page {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let Query(PageQuery { limit, cursor }) = Query::from_request_parts(parts, state).await?;
        Which::of(&parts.uri).page(limit, cursor.as_deref(), PAGE_MAX)
    }
}

impl Page {
    /// It is not the first.
    pub(super) fn goes_on(&self) -> bool {
        self.after.is_some()
    }

    /// The number that the entry before this page has, in a list that is [`numbered`].
    pub(super) fn after_number(&self) -> Option<u64> {
        Some(u64::from_be_bytes(self.after.as_deref()?.try_into().ok()?))
    }

    /// What the page after one that ends with this key is asked for with.
    pub(super) fn next(&self, last: &[u8]) -> String {
        self.which.write(last)
    }

    /// The entries of this page, and the cursor of the next if there is one.
    pub(super) fn take<'a, I>(&self, all: impl Iterator<Item = (Key<'a>, I)>) -> (Vec<I>, Option<String>) {
        let mut rest: Vec<(Key<'a>, I)> = all.filter(|(key, _)| self.after.as_deref().is_none_or(|after| after < &**key)).collect();
        let more = self.limit < rest.len();
        if more {
            // A page of a large list, without sorting all of it.
            rest.select_nth_unstable_by(self.limit, |(one, _), (other, _)| one.cmp(other));
            rest.truncate(self.limit);
        }
        rest.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let next = rest.last().filter(|_| more).map(|(key, _)| self.next(key));
        (rest.into_iter().map(|(_, item)| item).collect(), next)
    }

    /// Shows the entries of this page alone.
    pub(super) fn of<'a, I, T>(&self, core: &Core, all: impl Iterator<Item = (Key<'a>, I)>, show: impl FnMut(I) -> T) -> List<T> {
        let (items, next_cursor) = self.take(all);
        List { items: items.into_iter().map(show).collect(), next_cursor, revision: core.overview().revision.0 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn which(uri: &str) -> Which {
        Which::of(&uri.parse().unwrap())
    }

    #[test]
    fn a_cursor_is_one_lists_and_one_filters() {
        let cursor = which("/a?type=x&limit=5").write(b"key");
        assert_eq!(which("/a?limit=7&cursor=old&type=x").read(&cursor).unwrap(), b"key", "the size of a page is no filter");
        assert_eq!(which("/a?b=1&a=2").write(b"k"), which("/a?a=2&b=1").write(b"k"), "nor is the order of filters");
        let mut newer = vec![FORM + 1];
        newer.extend(URL_SAFE_NO_PAD.decode(&cursor).unwrap().into_iter().skip(1));
        let table = [
            ("/b?type=x", cursor.as_str(), "another list"),
            ("/a?type=y", &cursor, "other filters"),
            ("/a", &cursor, "other filters"),
            ("/a?type=x", &cursor[..6], "cut off"),
            ("/a?type=x", &URL_SAFE_NO_PAD.encode(newer), "another release"),
            ("/a?type=x", "", "not a cursor"),
            ("/a?type=x", "1", "not a cursor"),
            ("/a?type=x", "!", "not a cursor"),
            ("/a?type=x", &"A".repeat(CURSOR_MAX + 1), "not a cursor"),
        ];
        for (uri, cursor, said) in table {
            let problem = which(uri).read(cursor).unwrap_err().problem;
            assert!(problem.status == 400 && problem.detail.contains(said), "{uri} {cursor}: {}", problem.detail);
        }
    }

    #[test]
    fn keys_are_ordered_as_they_say() {
        assert!(numbered(9) < numbered(10) && newest(10) < newest(9));
        assert!(newest_at(Timestamp(5), "") < newest_at(Timestamp(-5), "") && newest_at(Timestamp(5), "a") < newest_at(Timestamp(5), "b"));
    }

    proptest! {
        /// Entries come and go between pages.
        #[test]
        fn whoever_stays_is_seen_once_whatever_comes_and_goes_meanwhile(
            begin in prop::collection::btree_set("[a-c]{1,3}", 0..30),
            changes in prop::collection::vec((any::<bool>(), "[a-c]{1,3}"), 0..60),
            (limit, changes_per_page) in (1_usize..7, 0_usize..5),
        ) {
            let which = which("/list");
            let (mut now, mut stayed, mut ever) = (begin.clone(), begin.clone(), begin);
            let (mut changes, mut seen, mut cursor) = (changes.into_iter(), Vec::new(), None);
            loop {
                let page = which.page(Some(limit), cursor.as_deref(), PAGE_MAX).unwrap();
                let (items, next) = page.take(now.iter().map(|name| (named(name), name.clone())));
                prop_assert!(items.len() <= limit && (next.is_none() || items.len() == limit));
                seen.extend(items);
                let Some(next) = next else { break };
                cursor = Some(next);
                for (comes, name) in changes.by_ref().take(changes_per_page) {
                    if comes {
                        ever.insert(name.clone());
                        now.insert(name);
                    } else {
                        stayed.remove(&name);
                        now.remove(&name);
                    }
                }
            }
            prop_assert!(seen.is_sorted_by(|one, other| one < other), "once each, in order: {seen:?}");
            let seen: BTreeSet<String> = seen.into_iter().collect();
            prop_assert!(stayed.is_subset(&seen), "{stayed:?} were there all the time, seen were {seen:?}");
            prop_assert!(seen.is_subset(&ever));
        }
    }
}
