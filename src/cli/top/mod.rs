//! `windrose top`: services, regions, shares, answers a second and events, live, on one screen; and the changes that one makes at 3 a.m.
//!
//! Over the admin API alone, so that it works from a laptop. What comes in (looks, events, answers, keys) goes into [`state::State`], which is pure;
//! [`draw`] makes a picture of it, also pure; [`screen`] has the terminal, [`source`] and [`ask`] speak with the server.
//!
//! Never: a change without the server's preview, a reason, and a `y`; a colour that says what no sign or word says.

mod ask;
mod draw;
mod form;
mod keys;
mod rates;
mod screen;
mod source;
mod state;
#[cfg(test)]
mod tests;
mod view;

use super::args::TopArgs;
use super::client::Client;
use super::exit::Failure;
use super::report::Report;
use super::table::Paint;

/// `windrose top`, where there is a terminal to draw on.
pub async fn run(client: &Client, args: &TopArgs, paint: Paint) -> Result<Report, Failure> {
    // It has previews of its own, and the terminal.
    screen::run(&client.unasked(), args, paint).await
}
