//! What keys do. Pure, as all of [`State`].
//!
//! Nothing is changed by one key: a form asks for a reason, its preview comes from the server, and only `y` makes the change.

use crate::cli::args::{DescribeArgs, Described, ExplainArgs};

use super::form::{Filled, Form};
use super::state::{Ask, Dialog, Key, Pane, State, Then, What, sequence};

/// Lines of a page.
const PAGE: usize = 10;

impl State {
    /// A key was hit.
    pub fn key(&mut self, key: Key) -> Option<Ask> {
        if key == Key::Interrupt {
            self.over = true;
            return None;
        }
        match self.dialog.take() {
            Some(dialog) => self.dialog_key(dialog, key),
            None if self.filtering => {
                self.filter_key(key);
                None
            }
            None => self.screen_key(key),
        }
    }

    fn screen_key(&mut self, key: Key) -> Option<Ask> {
        match key {
            Key::Char('q') => self.over = true,
            Key::Char('?' | 'h') => self.dialog = Some(Dialog::Help),
            Key::Char('/') => self.filtering = true,
            Key::Esc => {
                self.filter.clear();
                self.choose();
            }
            Key::Tab | Key::Right => {
                self.pane = match self.pane {
                    Pane::Services => Pane::Pools,
                    Pane::Pools => Pane::Events,
                    Pane::Events => Pane::Services,
                }
            }
            Key::BackTab | Key::Left => {
                self.pane = match self.pane {
                    Pane::Services => Pane::Events,
                    Pane::Pools => Pane::Services,
                    Pane::Events => Pane::Pools,
                }
            }
            Key::Up | Key::Char('k') => self.walk(-1),
            Key::Down | Key::Char('j') => self.walk(1),
            Key::PageUp => self.walk(-(PAGE as isize)),
            Key::PageDown => self.walk(PAGE as isize),
            Key::Enter => return self.describe(),
            Key::Char('e') => return self.explain(),
            Key::Char('p') => return self.probe(),
            Key::Char('d') => self.drain(),
            Key::Char('s') => self.split(),
            Key::Char(_) | Key::Backspace | Key::Interrupt => (),
        }
        None
    }

    /// So many rows down, or up.
    fn walk(&mut self, rows: isize) {
        let to = |at: usize, len: usize| at.saturating_add_signed(rows).min(len.saturating_sub(1));
        match self.pane {
            Pane::Services => {
                let names: Vec<&str> = self.services().iter().map(|service| service.name.as_str()).collect();
                let at = names.iter().position(|name| *name == self.service).unwrap_or(0);
                self.service = names.get(to(at, names.len())).map(ToString::to_string).unwrap_or_default();
            }
            Pane::Pools => {
                let names: Vec<&str> = self.chosen().into_iter().flat_map(|service| &service.pools).map(|pool| pool.pool.as_str()).collect();
                let at = names.iter().position(|name| *name == self.pool).unwrap_or(0);
                self.pool = names.get(to(at, names.len())).map(ToString::to_string).unwrap_or_default();
            }
            Pane::Events => {
                let at = to(self.chosen_event(), self.events.len());
                // The newest one stays chosen while more come.
                self.event = if at == 0 { None } else { self.events.get(at).and_then(sequence) };
            }
        }
        self.choose();
    }

    fn filter_key(&mut self, key: Key) {
        match key {
            Key::Enter | Key::Tab | Key::Down | Key::Up => self.filtering = false,
            Key::Esc => {
                self.filter.clear();
                self.filtering = false;
            }
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Char(c) => self.filter.push(c),
            _ => (),
        }
        self.choose();
    }

    fn describe(&mut self) -> Option<Ask> {
        let (kind, name) = match self.pane {
            Pane::Services => (Described::Service, self.chosen()?.name.clone()),
            Pane::Pools => (Described::Pool, self.chosen_pool()?.pool.clone()),
            Pane::Events => {
                let event = self.events.get(self.chosen_event())?;
                let text = format!("{event:#}");
                self.tell("Event", text);
                return None;
            }
        };
        let title = format!("windrose describe {} {name}", if kind == Described::Pool { "pool" } else { "service" });
        self.ask(title, What::Describe(DescribeArgs { kind, name }), Then::Show)
    }

    fn explain(&mut self) -> Option<Ask> {
        let service = self.chosen()?;
        let Some(name) = service.names.first().cloned() else {
            let text = format!("{} has no host name", service.name);
            self.tell("Explain", text);
            return None;
        };
        self.ask(format!("windrose explain {name}"), What::Explain(ExplainArgs { name, type_: "A".to_string(), client: None, ecs: None, at: None }), Then::Show)
    }

    fn probe(&mut self) -> Option<Ask> {
        let pool = self.chosen_pool()?.pool.clone();
        self.ask(format!("Probe {pool}"), What::Probe(pool), Then::Show)
    }

    fn drain(&mut self) {
        if let (Some(overview), Some(service), Some(pool)) = (&self.overview, self.chosen(), self.chosen_pool()) {
            self.dialog = Some(Dialog::Form(Form::drain(overview, service, pool)));
        }
    }

    fn split(&mut self) {
        match self.chosen().map(Form::split) {
            Some(Ok(form)) => self.dialog = Some(Dialog::Form(form)),
            Some(Err(why)) => self.tell("Split", why),
            None => (),
        }
    }

    /// A key for what lies over the screen, which was taken away.
    fn dialog_key(&mut self, dialog: Dialog, key: Key) -> Option<Ask> {
        self.dialog = match dialog {
            Dialog::Help => None,
            // A change that is under way is waited for: one wants to know.
            Dialog::Waiting { then: Then::Show | Then::Preview(..), .. } if key == Key::Esc => None,
            waiting @ Dialog::Waiting { .. } => Some(waiting),
            Dialog::Text { back, .. } if matches!(key, Key::Esc | Key::Enter | Key::Char('q')) => back.map(Dialog::Form),
            Dialog::Text { title, text, scroll, back } => {
                let scroll = scrolled(scroll, &text, key);
                Some(Dialog::Text { title, text, scroll, back })
            }
            Dialog::Form(mut form) => match form.key(key) {
                Filled::Left => None,
                Filled::Not => Some(Dialog::Form(form)),
                Filled::Yes(change) => {
                    let title = form.title.clone();
                    return self.ask(title, What::Preview(change.clone()), Then::Preview(form, change));
                }
            },
            Dialog::Preview { form, change, .. } if key == Key::Char('y') => {
                let title = form.title.clone();
                return self.ask(title, What::Make(change), Then::Made(form));
            }
            Dialog::Preview { form, .. } if matches!(key, Key::Esc | Key::Char('n')) => Some(Dialog::Form(form)),
            Dialog::Preview { form, change, text, scroll } => {
                let scroll = scrolled(scroll, &text, key);
                Some(Dialog::Preview { form, change, text, scroll })
            }
        };
        None
    }
}

fn scrolled(from: usize, text: &str, key: Key) -> usize {
    let last = text.lines().count().saturating_sub(1);
    match key {
        Key::Up | Key::Char('k') => from.saturating_sub(1),
        Key::Down | Key::Char('j') => (from + 1).min(last),
        Key::PageUp => from.saturating_sub(PAGE),
        Key::PageDown | Key::Char(' ') => (from + PAGE).min(last),
        _ => from,
    }
}
