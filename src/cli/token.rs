//! Tokens. A secret is printed once, alone on stdout, so that `> file` catches it and nothing else.

use reqwest::Method;
use serde_json::Value;

use crate::admin::api::{Span, Token, TokenCreated, TokenPost, Whoami};

use super::args::{TokenCommand, Write};
use super::client::{Client, Got};
use super::exit::Failure;
use super::report::Report;
use super::table::{Grid, Paint, clock};

/// `windrose token`
pub async fn run(client: &Client, command: &TokenCommand, paint: Paint) -> Result<Report, Failure> {
    let write = Write::default();
    match command {
        TokenCommand::List => super::get::run(client, super::args::Listed::Tokens, paint).await,
        TokenCommand::Create { name, scope, services, lasts } => {
            let body = TokenPost { name: name.clone(), scope: *scope, services: services.clone(), expires_in: lasts.map(Span) };
            let got: Got<TokenCreated> = client.write(Method::POST, &["tokens"], Some(&body), &write, None).await?;
            let TokenCreated { id, name, scope, services, token, ends } = got.value;
            let ends = ends.map_or_else(|| "until revoked".to_string(), |ends| format!("until {ends}"));
            let limit = if services.is_empty() { String::new() } else { format!(" on {}", services.join(", ")) };
            let note = format!("token `{name}` ({id}): {scope}{limit}, {ends}. It is shown this once; revoke it with: windrose token revoke {name}\n");
            Ok(Report::new(format!("{}\n", token.unwrap_or_default()), got.raw).note(note))
        }
        TokenCommand::Revoke { name } => {
            let got: Got<Value> = client.write(Method::DELETE, &["tokens", name], None::<&()>, &write, None).await?;
            Ok(Report::done(format!("token `{name}` is revoked: it has stopped working\n"), got.raw))
        }
    }
}

/// The list's table.
pub fn table(tokens: &[Token], paint: Paint) -> String {
    let mut grid = Grid::new(&["NAME", "SCOPE", "SERVICES", "MADE", "LAST USED", "ENDS", "ID"]);
    for Token { id, name, scope, services, at, ends, last_used } in tokens {
        let ends = ends.map_or_else(|| "when revoked".to_string(), |ends| clock(ends, Default::default()));
        let services = if services.is_empty() { "all".to_string() } else { services.join(" ") };
        let used = last_used.map_or_else(|| "never".to_string(), |at| clock(at, Default::default()));
        let made = clock(*at, Default::default());
        grid.row(vec![name.as_str().into(), scope.word().into(), services.into(), made.into(), used.into(), ends.into(), id.as_str().into()]);
    }
    grid.render(paint)
}

/// `windrose whoami`
pub async fn whoami(client: &Client) -> Result<Report, Failure> {
    let got: Got<Whoami> = client.get(&["whoami"], &[]).await?;
    let Whoami { actor, scope, services } = &got.value;
    let limit = if services.is_empty() { String::new() } else { format!(" on {} (and look at everything)", services.join(", ")) };
    Ok(Report::new(format!("{actor} may {scope}{limit} at {}\n", client.place), got.raw))
}
