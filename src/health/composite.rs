//! From several verdicts on one endpoint to one: three-valued logic (Kleene's), with marks.
//!
//! Pure, and without debouncing of its own: each member is debounced by itself (SEMANTICS, 12), and a composite follows its members at once.
//!
//! Unknown means "Up or Down, nobody knows yet". So a vote is Up or Down only if it would be so whatever the Unknown ones turn out to be:
//!
//! | voters needed    | up ≥ needed | up + unknown ≥ needed | else |
//! |------------------|-------------|-----------------------|------|
//! | all, any, n      | Up          | Unknown               | Down |
//!
//! `critical` members stand beside the vote: one that is Down makes the whole Down, one that is Unknown lets it be Unknown at best. `watch` members count
//! for nothing.

use crate::model::{AnyMonitor, Check, Combined, Composite, CompositeId, Estate, JudgementId, Mark, Member, Need};

use super::{HealthTable, JudgementHealth, State, TargetHealth};

/// The verdict of a composite on its members' verdicts.
pub fn combine(need: Need, members: impl IntoIterator<Item = (Mark, State)>) -> State {
    let (mut voters, mut up, mut unknown, mut critical) = (0_usize, 0, 0, State::Up);
    for (mark, state) in members {
        match mark {
            Mark::Critical => critical = critical.and(state),
            Mark::Voting => {
                voters += 1;
                up += usize::from(state == State::Up);
                unknown += usize::from(state == State::Unknown);
            }
            Mark::Watch => {}
        }
    }
    let needed = match need {
        Need::All => voters,
        Need::Any => 1,
        Need::AtLeast(number) => usize::from(number),
    };
    let vote = match () {
        () if needed <= up => State::Up,
        () if needed <= up + unknown => State::Unknown,
        () => State::Down,
    };
    vote.and(critical)
}

/// The verdict of an endpoint's whole tree, where each judgement says this.
pub(super) fn evaluate(estate: &Estate, combined: &Combined, state: &dyn Fn(JudgementId) -> State) -> State {
    Walk { estate, judgements: combined.judgements.iter(), state }.composite(combined.composite)
}

/// A walk through the tree, judgements taken one after the other.
struct Walk<'a> {
    estate: &'a Estate,
    judgements: std::slice::Iter<'a, JudgementId>,
    state: &'a dyn Fn(JudgementId) -> State,
}

impl Walk<'_> {
    fn composite(&mut self, id: CompositeId) -> State {
        let Composite { need, members, name: _ } = self.estate.composite(id);
        combine(*need, members.iter().map(|member| (member.mark, self.member(member.monitor))))
    }

    fn member(&mut self, monitor: AnyMonitor) -> State {
        match monitor {
            AnyMonitor::Simple(id) if self.estate.monitor(id).check == Check::Always => State::Up,
            AnyMonitor::Simple(_) => self.judgements.next().map_or(State::Unknown, |judgement| (self.state)(*judgement)),
            AnyMonitor::Composite(id) => self.composite(id),
        }
    }
}

/// One member of an endpoint's composite, as it stands now.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberHealth<'h> {
    /// Its monitor, or composite monitor.
    pub monitor: &'h str,
    /// What it counts for.
    pub mark: Mark,
    /// Its verdict.
    pub state: State,
    /// The verdict, if it is probed.
    pub judgement: Option<&'h JudgementHealth>,
    /// What its probes said, if it is probed.
    pub target: Option<&'h TargetHealth>,
    /// Of a composite: its members.
    pub members: Vec<MemberHealth<'h>>,
}

/// The members of an endpoint's composite monitor.
pub(super) fn members<'h>(health: &'h HealthTable, estate: &'h Estate, combined: &Combined) -> Vec<MemberHealth<'h>> {
    list(health, estate, combined.composite, &mut combined.judgements.iter())
}

fn list<'h>(health: &'h HealthTable, estate: &'h Estate, composite: CompositeId, judgements: &mut std::slice::Iter<'_, JudgementId>) -> Vec<MemberHealth<'h>> {
    let mut one = |Member { monitor, mark }: &Member| match *monitor {
        AnyMonitor::Composite(id) => {
            let (composite, members) = (estate.composite(id), list(health, estate, id, judgements));
            let state = combine(composite.need, members.iter().map(|member| (member.mark, member.state)));
            MemberHealth { monitor: &composite.name, mark: *mark, state, judgement: None, target: None, members }
        }
        AnyMonitor::Simple(id) => {
            let monitor = estate.monitor(id);
            let id = (monitor.check != Check::Always).then(|| judgements.next()).flatten();
            let judgement = id.map(|id| health.judgement(*id));
            let target = id.map(|id| health.target(estate.judgement(*id).target));
            let state = judgement.map_or(State::Up, |judgement| judgement.state);
            MemberHealth { monitor: &monitor.name, mark: *mark, state, judgement, target, members: Vec::new() }
        }
    };
    estate.composite(composite).members.iter().map(&mut one).collect()
}

impl<'h> MemberHealth<'h> {
    /// Members that probe and are in the given state, whose verdict counts for something; critical ones first.
    pub fn counting<'m>(members: &'m [MemberHealth<'h>], state: State) -> Vec<&'m MemberHealth<'h>> {
        let mut found = Vec::new();
        for mark in [Mark::Critical, Mark::Voting] {
            for member in members.iter().filter(|member| member.mark == mark) {
                if member.judgement.is_some_and(|judgement| judgement.state == state) {
                    found.push(member);
                }
                found.extend(Self::counting(&member.members, state));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state(letter: char) -> State {
        match letter {
            'U' => State::Up,
            'D' => State::Down,
            '?' => State::Unknown,
            _ => panic!("{letter} is no state"),
        }
    }

    fn letter(state: State) -> char {
        match state {
            State::Up => 'U',
            State::Down => 'D',
            State::Unknown => '?',
        }
    }

    /// `U D !U ~?`: voting ones, `!` critical, `~` watch.
    fn members(text: &str) -> Vec<(Mark, State)> {
        let member = |word: &str| match word.chars().collect::<Vec<_>>()[..] {
            [last] => (Mark::Voting, state(last)),
            ['!', last] => (Mark::Critical, state(last)),
            ['~', last] => (Mark::Watch, state(last)),
            _ => panic!("{word} is no member"),
        };
        text.split_whitespace().map(member).collect()
    }

    /// U up, D down, ? unknown; `!` before a critical member, `~` before one that only watches.
    const TRUTH: &str = "
        all           any           2 of them
        U U   = U     U U   = U     U U D   = U
        U ?   = ?     U ?   = U     U ? ?   = ?
        U D   = D     U D   = U     U ? D   = ?
        ? ?   = ?     ? ?   = ?     U D D   = D
        ? D   = D     ? D   = ?     ? ? D   = ?
        D D   = D     D D   = D     ? D D   = D
        U     = U     U     = U     U U U   = U
        ?     = ?     ?     = ?     ? ? ?   = ?
        D     = D     D     = D     D D D   = D
        !U U  = U     !U U  = U     !U U U  = U
        !U ?  = ?     !U ?  = ?     !U U ?  = ?
        !U D  = D     !U D  = D     !U U D  = D
        !? U  = ?     !? U  = ?     !? U U  = ?
        !? ?  = ?     !? ?  = ?     !? U ?  = ?
        !? D  = D     !? D  = D     !? U D  = D
        !D U  = D     !D U  = D     !D U U  = D
        !D ?  = D     !D ?  = D     !D ? ?  = D
        !U !D = D     !D !U U = D   !U !? U U = ?
        !U !? = ?     !U !? U = ?   !D !? U U = D
        !U    = U     !U !U U = U   !U !U U U = U
        ~D U  = U     ~D U  = U     ~D U U  = U
        ~? U  = U     ~? U  = U     ~U U D  = D
        ~U D  = D     ~U D  = D     ~U U ?  = ?
        ~U ?  = ?     ~U ?  = ?     ~D U U  = U";

    #[test]
    fn the_truth_table_of_votes_and_marks() {
        let mut cells = 0;
        for line in TRUTH.lines().skip(2) {
            let columns = [line.get(8..22), line.get(22..36), line.get(36..)];
            for (column, need) in columns.into_iter().flatten().zip([Need::All, Need::Any, Need::AtLeast(2)]) {
                let (given, expected) = column.split_once('=').unwrap_or_else(|| panic!("no = in {column:?}"));
                assert_eq!(letter(combine(need, members(given))).to_string(), expected.trim(), "{need:?} of {given}");
                cells += 1;
            }
        }
        assert_eq!(cells, 72, "every cell was read");
    }

    /// The rule by its meaning: what would come out if each Unknown one turned out Up, or Down, in every way?
    fn naive(need: Need, members: &[(Mark, State)]) -> State {
        let unknown: Vec<usize> = (0..members.len()).filter(|at| members[*at].1 == State::Unknown).collect();
        let (mut can_be_up, mut can_be_down) = (false, false);
        for world in 0..1_u32 << unknown.len() {
            let is_up = |at: usize| match unknown.iter().position(|unknown| *unknown == at) {
                Some(bit) => world >> bit & 1 == 1,
                None => members[at].1 == State::Up,
            };
            let of = |mark: Mark| (0..members.len()).filter(move |at| members[*at].0 == mark);
            let up = of(Mark::Voting).filter(|at| is_up(*at)).count();
            let enough = match need {
                Need::All => up == of(Mark::Voting).count(),
                Need::Any => 1 <= up,
                Need::AtLeast(number) => usize::from(number) <= up,
            };
            match enough && of(Mark::Critical).all(is_up) {
                true => can_be_up = true,
                false => can_be_down = true,
            }
        }
        match (can_be_up, can_be_down) {
            (true, false) => State::Up,
            (false, true) => State::Down,
            _ => State::Unknown,
        }
    }

    fn any_members() -> impl Strategy<Value = Vec<(Mark, State)>> {
        prop::collection::vec((prop::sample::select(Mark::ALL.to_vec()), prop::sample::select(State::ALL.to_vec())), 0..8)
    }

    fn any_need() -> impl Strategy<Value = Need> {
        prop_oneof![Just(Need::All), Just(Need::Any), (1_u16..6).prop_map(Need::AtLeast)]
    }

    proptest! {
        #[test]
        fn a_verdict_is_what_holds_however_the_unknown_ones_turn_out(need in any_need(), members in any_members()) {
            prop_assert_eq!(combine(need, members.clone()), naive(need, &members));
        }

        #[test]
        fn to_know_less_of_a_member_never_turns_a_verdict_round(need in any_need(), members in any_members(), which in any::<prop::sample::Index>()) {
            prop_assume!(!members.is_empty());
            let before = combine(need, members.clone());
            let mut doubted = members;
            let at = which.index(doubted.len());
            doubted[at].1 = State::Unknown;
            let after = combine(need, doubted);
            prop_assert!(after == before || after == State::Unknown, "{:?} became {:?}", before, after);
        }
    }
}
