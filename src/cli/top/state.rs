//! What the screen is about: what was last seen of the server, what is chosen, what is being asked.
//!
//! Pure: messages go in ([`State::update`], [`State::key`] in `keys.rs`), at most one [`Ask`] comes out; no clock, socket or terminal is touched.
//! What is chosen is kept by name, so that it stays chosen when the list changes.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use crate::admin::api::{Endpoint, Overview, Service, ServicePool, Time};
use crate::cli::args::{DescribeArgs, ExplainArgs};

use super::form::{Change, Form};
use super::rates::Rates;

/// Events that are kept.
const EVENTS_MAX: usize = 500;

/// A key, whatever the terminal sends for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A letter, digit or sign.
    Char(char),
    /// ↑
    Up,
    /// ↓
    Down,
    /// ←
    Left,
    /// →
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the next part of the screen.
    Tab,
    /// To the one before.
    BackTab,
    /// Yes, open, go on.
    Enter,
    /// No, back.
    Esc,
    /// Takes the last sign away.
    Backspace,
    /// Ctrl-C
    Interrupt,
}

/// A part of the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    /// Left.
    #[default]
    Services,
    /// Right.
    Pools,
    /// Below.
    Events,
}

/// Something to ask the server for.
#[derive(Debug)]
pub struct Ask {
    /// Comes back with the answer.
    pub id: u64,
    /// What.
    pub what: What,
}

/// What is asked.
#[derive(Debug)]
pub enum What {
    /// `windrose describe`
    Describe(DescribeArgs),
    /// `windrose explain`
    Explain(ExplainArgs),
    /// `windrose probe`, for the endpoints of a pool.
    Probe(String),
    /// A change, as a dry run.
    Preview(Change),
    /// A change.
    Make(Change),
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Said {
    /// For people.
    pub text: String,
    /// It was refused or has failed.
    pub refused: bool,
}

/// What comes in.
#[derive(Debug)]
pub enum Message {
    /// A look at the whole.
    Looked(Box<Overview>),
    /// The endpoints of a pool.
    Endpoints(String, Vec<Endpoint>),
    /// The server can't be asked.
    Lost(String),
    /// Something happened.
    Event(Value),
    /// Some events are missing.
    Gap,
    /// To an [`Ask`].
    Said(u64, Said),
    /// A key was hit.
    Key(Key),
    /// The window has another size.
    Resized,
    /// There are no more keys: the terminal is gone.
    NoKeys,
}

/// Since when the server can't be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// By this machine's clock.
    pub since: Time,
    /// One sentence.
    pub why: String,
}

/// What follows an answer.
#[derive(Debug)]
pub enum Then {
    /// It is shown.
    Show,
    /// It is the preview of a change.
    Preview(Form, Change),
    /// The change was made, or not.
    Made(Form),
}

/// What lies over the screen.
#[derive(Debug)]
pub enum Dialog {
    /// All keys.
    Help,
    /// Something was asked.
    Waiting {
        /// Which [`Ask`].
        id: u64,
        /// What for.
        title: String,
        /// What then.
        then: Then,
    },
    /// Something to read; from a form, one gets back to it.
    Text {
        /// Above it.
        title: String,
        /// Lines.
        text: String,
        /// The first line that is shown.
        scroll: usize,
        /// Where Esc leads to.
        back: Option<Form>,
    },
    /// Something to fill in.
    Form(Form),
    /// What a change would do: yes or no?
    Preview {
        /// Where Esc leads to.
        form: Form,
        /// What `y` makes.
        change: Change,
        /// What it would do.
        text: String,
        /// The first line that is shown.
        scroll: usize,
    },
}

/// All that the screen is drawn from.
#[derive(Debug, Default)]
pub struct State {
    /// This machine's clock.
    pub now: Time,
    /// The last look.
    pub overview: Option<Overview>,
    /// Endpoints by pool, of what is or was chosen.
    pub endpoints: HashMap<String, Vec<Endpoint>>,
    /// Answers a second.
    pub rates: Rates,
    /// Newest first.
    pub events: VecDeque<Value>,
    /// The server can't be asked.
    pub lost: Option<Lost>,
    /// Where keys go.
    pub pane: Pane,
    /// The chosen service.
    pub service: String,
    /// The chosen pool of that service.
    pub pool: String,
    /// The sequence of the chosen event; `None`: the newest.
    pub event: Option<u64>,
    /// Only services with this in a name, region or pool.
    pub filter: String,
    /// The filter is being typed.
    pub filtering: bool,
    /// What lies over it all.
    pub dialog: Option<Dialog>,
    /// It is over.
    pub over: bool,
    asked: u64,
}

impl State {
    /// Before anything was seen.
    pub fn new(filter: String) -> Self {
        Self { filter, ..Self::default() }
    }

    /// Something came in.
    pub fn update(&mut self, message: Message) -> Option<Ask> {
        match message {
            Message::Looked(overview) => {
                self.rates.look(&overview);
                self.overview = Some(*overview);
                self.lost = None;
                self.choose();
            }
            Message::Endpoints(pool, endpoints) => {
                self.endpoints.insert(pool, endpoints);
            }
            Message::Lost(why) => {
                let since = self.lost.as_ref().map_or(self.now, |lost| lost.since);
                self.lost = Some(Lost { since, why });
            }
            // Somebody who begins to listen anew hears the newest ones again.
            Message::Event(event) if sequence(&event).is_some_and(|number| self.events.iter().any(|known| sequence(known) == Some(number))) => (),
            Message::Event(event) => {
                self.events.push_front(event);
                self.events.truncate(EVENTS_MAX);
            }
            Message::Gap => self.events.push_front(serde_json::json!({ "type": "windrose.events.missing", "data": { "severity": "warning", "summary": "some events are missing: they were forgotten before they could be read" } })),
            Message::Said(id, said) => self.said(id, said),
            Message::Key(key) => return self.key(key),
            Message::Resized => (),
            Message::NoKeys => self.over = true,
        }
        None
    }

    fn said(&mut self, id: u64, said: Said) {
        // Somebody who didn't wait wants no answer.
        if !matches!(&self.dialog, Some(Dialog::Waiting { id: waiting, .. }) if *waiting == id) {
            return;
        }
        let Some(Dialog::Waiting { title, then, .. }) = self.dialog.take() else { return };
        let Said { text, refused } = said;
        self.dialog = Some(match then {
            Then::Preview(form, change) if !refused => Dialog::Preview { form, change, text, scroll: 0 },
            Then::Preview(form, _) | Then::Made(form) if refused => Dialog::Text { title, text, scroll: 0, back: Some(form) },
            Then::Show | Then::Preview(..) | Then::Made(_) => Dialog::Text { title, text, scroll: 0, back: None },
        });
    }

    /// Asks, and waits for the answer.
    pub fn ask(&mut self, title: String, what: What, then: Then) -> Option<Ask> {
        self.asked += 1;
        self.dialog = Some(Dialog::Waiting { id: self.asked, title, then });
        Some(Ask { id: self.asked, what })
    }

    /// Says something.
    pub fn tell(&mut self, title: impl Into<String>, text: impl Into<String>) {
        self.dialog = Some(Dialog::Text { title: title.into(), text: text.into(), scroll: 0, back: None });
    }

    /// Services that fit the filter.
    pub fn services(&self) -> Vec<&Service> {
        let wanted = self.filter.to_lowercase();
        let fits = |text: &str| text.to_lowercase().contains(&wanted);
        let all = self.overview.iter().flat_map(|overview| &overview.services);
        all.filter(|service| {
            fits(&service.name) || service.names.iter().any(|name| fits(name)) || service.pools.iter().any(|pool| fits(&pool.pool) || fits(&pool.region))
        })
        .collect()
    }

    /// The chosen service.
    pub fn chosen(&self) -> Option<&Service> {
        self.services().into_iter().find(|service| service.name == self.service)
    }

    /// The chosen pool.
    pub fn chosen_pool(&self) -> Option<&ServicePool> {
        self.chosen()?.pools.iter().find(|pool| pool.pool == self.pool)
    }

    /// The pools whose endpoints one would like to see.
    pub fn wanted(&self) -> Vec<String> {
        self.chosen().into_iter().flat_map(|service| &service.pools).map(|pool| pool.pool.clone()).collect()
    }

    /// Where the chosen event stands.
    pub fn chosen_event(&self) -> usize {
        let wanted = self.event;
        wanted.and_then(|wanted| self.events.iter().position(|event| sequence(event) == Some(wanted))).unwrap_or(0)
    }

    /// What is chosen must be there: else the first one is.
    pub fn choose(&mut self) {
        if self.chosen().is_none() {
            self.service = self.services().first().map(|service| service.name.clone()).unwrap_or_default();
        }
        if self.chosen_pool().is_none() {
            self.pool = self.chosen().and_then(|service| service.pools.first()).map(|pool| pool.pool.clone()).unwrap_or_default();
        }
    }
}

/// The number of an event.
pub fn sequence(event: &Value) -> Option<u64> {
    event.get("sequence").and_then(Value::as_u64)
}
