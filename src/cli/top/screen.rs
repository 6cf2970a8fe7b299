//! The terminal: taken, drawn on, given back; and the loop that everything meets in.
//!
//! Given back means: also after a panic (ratatui's hook, and `Drop`) and after a signal. Never leaves it raw.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::admin::api::{Overview, Time};
use crate::cli::args::TopArgs;
use crate::cli::client::{Client, Got};
use crate::cli::exit::{Exit, Failure};
use crate::cli::report::Report;
use crate::cli::table::Paint;
use crate::model::Timestamp;

use super::state::{Ask, Key, Message, State};
use super::{ask, draw, source};

/// Messages that wait for the screen.
const WAITING_MAX: usize = 256;
/// Ages on the screen grow by themselves.
const TICK: Duration = Duration::from_secs(1);

/// The terminal while it is ours.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> Result<Self, Failure> {
        ratatui::try_init()
            .map(Self)
            .map_err(|error| Failure::local(Exit::Failed, format!("can't draw on this terminal: {error}")).hint("windrose status -w prints lines"))
    }

    fn draw(&mut self, state: &State, paint: Paint) -> Result<(), Failure> {
        let drawn = self.0.draw(|frame| draw::draw(frame, state, paint));
        drawn.map(|_| ()).map_err(|error| Failure::local(Exit::Failed, format!("can't draw on this terminal: {error}")))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Until `q`.
pub async fn run(client: &Client, args: &TopArgs, paint: Paint) -> Result<Report, Failure> {
    // A server that was never there is said in plain words, before the screen is taken.
    let first: Got<Overview> = client.get(&["overview"], &[]).await?;
    let mut state = State::new(args.filter.clone().unwrap_or_default());
    state.now = now();
    state.update(Message::Looked(Box::new(first.value)));
    let failed = |error: std::io::Error| Failure::local(Exit::Failed, format!("can't listen to signals: {error}"));
    let mut signals =
        [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()].map(signal).into_iter().collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let (to, mut messages) = mpsc::channel(WAITING_MAX);
    let (want, wanted) = watch::channel(state.wanted());
    let mut screen = Screen::take()?;
    let mut tasks = source::start(client, args.interval, wanted, &to);
    read_keys(to.clone());
    let mut tick = tokio::time::interval(TICK);
    while !state.over {
        screen.draw(&state, paint)?;
        let message = tokio::select! {
            message = messages.recv() => message,
            _ = tick.tick() => None,
            () = any(&mut signals) => return Err(Failure::local(Exit::Failed, "ended by a signal")),
            // They never end by themselves; a panic was told by its hook.
            _ = tasks.join_next() => return Err(Failure::local(Exit::Failed, "windrose top has a bug and ends; please report what it said")),
        };
        state.now = now();
        // All that waits is one picture.
        let mut next = message;
        while let Some(message) = next {
            if let Some(Ask { id, what }) = state.update(message) {
                let (client, to) = (client.clone(), to.clone());
                tokio::spawn(async move {
                    let said = ask::answer(&client, what).await;
                    let _ = to.send(Message::Said(id, said)).await;
                });
            }
            next = messages.try_recv().ok();
        }
        let pools = state.wanted();
        want.send_if_modified(|known| {
            let other = *known != pools;
            *known = pools;
            other
        });
    }
    Ok(Report::new("", serde_json::Value::Null))
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

/// Any of these signals.
async fn any(signals: &mut [tokio::signal::unix::Signal]) {
    std::future::poll_fn(
        |cx| if signals.iter_mut().any(|signal| signal.poll_recv(cx).is_ready()) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending },
    )
    .await;
}

/// A thread of its own, since reading keys blocks; it ends with the process.
fn read_keys(to: mpsc::Sender<Message>) {
    std::thread::spawn(move || {
        loop {
            let message = match event::read() {
                Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => match key_of(key.code, key.modifiers) {
                    Some(key) => Message::Key(key),
                    None => continue,
                },
                Ok(Event::Resize(..)) => Message::Resized,
                Ok(_) => continue,
                Err(_) => Message::NoKeys,
            };
            let last = matches!(message, Message::NoKeys);
            if to.blocking_send(message).is_err() || last {
                return;
            }
        }
    });
}

fn key_of(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
    match code {
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Interrupt),
        KeyCode::Char(_) if modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => None,
        KeyCode::Char(c) => Some(Key::Char(c)),
        KeyCode::Up => Some(Key::Up),
        KeyCode::Down => Some(Key::Down),
        KeyCode::Left => Some(Key::Left),
        KeyCode::Right => Some(Key::Right),
        KeyCode::PageUp => Some(Key::PageUp),
        KeyCode::PageDown => Some(Key::PageDown),
        KeyCode::Tab => Some(Key::Tab),
        KeyCode::BackTab => Some(Key::BackTab),
        KeyCode::Enter => Some(Key::Enter),
        KeyCode::Esc => Some(Key::Esc),
        KeyCode::Backspace => Some(Key::Backspace),
        _ => None,
    }
}
