//! Edits of forms: what `split` and `failover` make of the policy in force (SEMANTICS, 17).
//!
//! Pure, by name, without an estate: `control` applies them to traffic, the CLI shows them before.

use crate::model::{Choice, PolicyForm, Share, did_you_mean};

/// Why an edit does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// `split` names every child of the root once, and no others.
    #[error("{}", children_text(.missing, .unknown, .children))]
    Children {
        /// Children without a share.
        missing: Vec<String>,
        /// Names that are not children, with the child that was perhaps meant.
        unknown: Vec<(String, Option<String>)>,
        /// The root's children.
        children: Vec<String>,
    },
    /// The root is of a kind that the verb does not know.
    #[error("`{verb}` can't change a `{root}` policy; set a whole policy with PUT traffic, for example {{\"policy\": {example}}}")]
    Root {
        /// `split` or `failover`.
        verb: &'static str,
        /// The root's word.
        root: &'static str,
        /// A policy that would do it, as JSON.
        example: String,
    },
    /// What came out is not a valid form.
    #[error("{}", .0.join("; "))]
    Faults(Vec<String>),
}

/// Neither shares nor an order that operators could change: what answers follows from the client, or is everybody.
fn has_no_order(form: &PolicyForm) -> bool {
    matches!(form.choice, Choice::Multivalue(_) | Choice::Geo(_) | Choice::Nearest(_))
}

/// New shares for every child of the root. A failover root becomes weighted.
///
/// Shares sum to 100 and are not all 0; every child is named once, in any order (the children keep theirs).
pub fn split(form: &PolicyForm, shares: &[(String, Share)]) -> Result<PolicyForm, EditError> {
    let children = names(form);
    if has_no_order(form) {
        let example = PolicyForm::new(Choice::Weighted(shares.to_vec()));
        return Err(EditError::Root { verb: "split", root: form.choice.word(), example: json(&example) });
    }
    let missing: Vec<String> = children.iter().filter(|child| shares.iter().all(|(name, _)| name != *child)).cloned().collect();
    let strangers = shares.iter().map(|(name, _)| name).filter(|name| !children.contains(name));
    let unknown: Vec<_> = strangers.map(|name| (name.clone(), did_you_mean(name, children.iter().map(String::as_str)))).collect();
    if !missing.is_empty() || !unknown.is_empty() {
        return Err(EditError::Children { missing, unknown, children });
    }
    let twice: Vec<String> =
        children.iter().filter(|child| 1 < shares.iter().filter(|(name, _)| name == *child).count()).map(|child| format!("`{child}` has two shares")).collect();
    if !twice.is_empty() {
        return Err(EditError::Faults(twice));
    }
    let share = |child: &String| shares.iter().find(|(name, _)| name == child).map_or(Share::ZERO, |(_, share)| *share);
    let weighted = children.iter().map(|child| (child.clone(), share(child))).collect();
    checked(PolicyForm { choice: Choice::Weighted(weighted), min_up: form.min_up })
}

/// `to` first: put at the head of a failover (the others keep their order), or given 100 % of a weighted (the others 0).
pub fn failover(form: &PolicyForm, to: &str) -> Result<PolicyForm, EditError> {
    let children = names(form);
    if has_no_order(form) {
        let others = children.iter().filter(|child| *child != to).cloned();
        let example = PolicyForm::new(Choice::Failover(std::iter::once(to.to_string()).chain(others).collect()));
        return Err(EditError::Root { verb: "failover", root: form.choice.word(), example: json(&example) });
    }
    if !children.iter().any(|child| child == to) {
        let unknown = vec![(to.to_string(), did_you_mean(to, children.iter().map(String::as_str)))];
        return Err(EditError::Children { missing: Vec::new(), unknown, children });
    }
    let choice = match &form.choice {
        Choice::Weighted(shares) => {
            Choice::Weighted(shares.iter().map(|(child, _)| (child.clone(), if child == to { Share::FULL } else { Share::ZERO })).collect())
        }
        Choice::Failover(_) | Choice::Multivalue(_) | Choice::Geo(_) | Choice::Nearest(_) => {
            let others = children.iter().filter(|child| *child != to).cloned();
            Choice::Failover(std::iter::once(to.to_string()).chain(others).collect())
        }
    };
    checked(PolicyForm { choice, min_up: form.min_up })
}

/// Where `failover` goes when nobody says: the first usable child in file order, after the one with the largest effective share and round to the start.
///
/// `effective`: shares by child ([`child_shares`](super::child_shares)). While no child answers, every child is asked from the first on.
pub fn next_target(form: &PolicyForm, effective: &[(String, f64)], is_usable: &dyn Fn(&str) -> bool) -> Option<String> {
    let children = names(form);
    let share = |child: &String| effective.iter().find(|(name, _)| name == child).map_or(0.0, |(_, share)| *share);
    let mut largest: Option<(usize, f64)> = None;
    for (at, share) in children.iter().map(share).enumerate() {
        if largest.map_or(0.0, |(_, largest)| largest) < share {
            largest = Some((at, share));
        }
    }
    let (start, others) = largest.map_or((0, children.len()), |(at, _)| (at + 1, children.len().saturating_sub(1)));
    children.iter().cycle().skip(start).take(others).find(|child| is_usable(child)).cloned()
}

fn names(form: &PolicyForm) -> Vec<String> {
    form.choice.children().into_iter().cloned().collect()
}

fn checked(form: PolicyForm) -> Result<PolicyForm, EditError> {
    let faults = form.faults();
    if faults.is_empty() { Ok(form) } else { Err(EditError::Faults(faults)) }
}

fn json(form: &PolicyForm) -> String {
    serde_json::to_string(form).unwrap_or_default()
}

fn children_text(missing: &[String], unknown: &[(String, Option<String>)], children: &[String]) -> String {
    let quoted = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let meant = |meant: &Option<String>| meant.as_ref().map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
    let mut sentences: Vec<String> = unknown.iter().map(|(name, guess)| format!("`{name}` is not a child of this policy{}", meant(guess))).collect();
    if !missing.is_empty() {
        sentences.push(format!("every child needs a share, and {} {} none", quoted(missing), if missing.len() == 1 { "has" } else { "have" }));
    }
    if missing.is_empty() {
        sentences.push(format!("the children are {}", quoted(children)));
    }
    sentences.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::testing::form;

    fn shares(text: &str) -> Vec<(String, Share)> {
        text.split_whitespace()
            .map(|word| word.split_once('=').expect("name=per cent"))
            .map(|(name, percent)| (name.to_string(), Share::from_percent(percent.parse().expect("a number")).expect("0 to 100")))
            .collect()
    }

    #[test]
    fn split_sets_the_shares_of_a_weighted_root_and_keeps_its_order() {
        assert_eq!(split(&form("weighted prod=80 dr=20"), &shares("dr=60 prod=40")), Ok(form("weighted prod=40 dr=60")));
    }

    #[test]
    fn split_replaces_a_failover_root_by_weighted() {
        assert_eq!(split(&form("failover prod dr"), &shares("prod=80 dr=20")), Ok(form("weighted prod=80 dr=20")));
    }

    #[test]
    fn split_lists_every_missing_child_and_every_unknown_one_with_did_you_mean() {
        let refused = split(&form("weighted prod=50 dr=30 west=20"), &shares("prd=100"));
        let unknown = vec![("prd".to_string(), Some("prod".to_string()))];
        assert_eq!(
            refused,
            Err(EditError::Children {
                missing: vec!["prod".into(), "dr".into(), "west".into()],
                unknown,
                children: vec!["prod".into(), "dr".into(), "west".into()]
            })
        );
        assert_eq!(
            refused.unwrap_err().to_string(),
            "`prd` is not a child of this policy (did you mean `prod`?); every child needs a share, and `prod`, `dr`, `west` have none"
        );
    }

    #[test]
    fn split_refuses_shares_that_do_not_sum_to_100_or_are_all_0_or_stand_twice() {
        assert!(matches!(split(&form("failover prod dr"), &shares("prod=80 dr=30")), Err(EditError::Faults(_))));
        assert!(matches!(split(&form("failover prod dr"), &shares("prod=0 dr=0")), Err(EditError::Faults(_))));
        assert!(matches!(split(&form("failover prod dr"), &shares("prod=80 prod=80 dr=20")), Err(EditError::Faults(_))));
    }

    #[test]
    fn split_on_a_multivalue_root_is_refused_with_the_put_to_use() {
        let refused = split(&form("multivalue prod dr"), &shares("prod=80 dr=20")).unwrap_err().to_string();
        assert_eq!(
            refused,
            r#"`split` can't change a `multivalue` policy; set a whole policy with PUT traffic, for example {"policy": {"weighted":{"prod":80,"dr":20}}}"#
        );
    }

    #[test]
    fn failover_puts_a_child_first_and_the_others_keep_their_order() {
        assert_eq!(failover(&form("failover a b c min_up=2"), "c"), Ok(form("failover c a b min_up=2")));
    }

    #[test]
    fn failover_gives_a_child_of_a_weighted_root_everything() {
        assert_eq!(failover(&form("weighted prod=80 dr=20"), "dr"), Ok(form("weighted prod=0 dr=100")));
    }

    #[test]
    fn failover_to_a_stranger_or_on_another_root_is_refused() {
        assert!(matches!(failover(&form("failover prod dr"), "rd"), Err(EditError::Children { .. })));
        assert!(matches!(failover(&form("multivalue prod dr"), "dr"), Err(EditError::Root { .. })));
    }

    #[test]
    fn the_next_target_is_the_first_usable_child_after_the_largest_and_round() {
        let pick = |form_text: &str, effective: &[(&str, f64)], usable: &[&str]| {
            let effective: Vec<_> = effective.iter().map(|(name, share)| (name.to_string(), *share)).collect();
            next_target(&form(form_text), &effective, &|name| usable.contains(&name))
        };
        assert_eq!(pick("failover a b c", &[("a", 1.0)], &["a", "b", "c"]).as_deref(), Some("b"));
        assert_eq!(pick("failover a b c", &[("a", 1.0)], &["a", "c"]).as_deref(), Some("c"));
        assert_eq!(pick("failover a b c", &[("c", 1.0)], &["a", "b", "c"]).as_deref(), Some("a"));
        assert_eq!(pick("weighted a=20 b=80 c=0", &[("a", 0.2), ("b", 0.8)], &["a", "b"]).as_deref(), Some("a"));
        assert_eq!(pick("weighted a=50 b=50", &[("a", 0.5), ("b", 0.5)], &["a", "b"]).as_deref(), Some("b"));
        assert_eq!(pick("failover a b", &[("a", 1.0)], &["a"]), None);
        assert_eq!(pick("failover a b", &[], &["a", "b"]).as_deref(), Some("a"));
    }
}
