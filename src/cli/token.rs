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
        TokenCommand::Create { name, scope, lasts } => {
            let body = TokenPost { name: name.clone(), scope: *scope, expires_in: lasts.map(Span) };
            let got: Got<TokenCreated> = client.write(Method::POST, &["tokens"], Some(&body), &write, None).await?;
            let TokenCreated { id, name, scope, token, ends } = got.value;
            let ends = ends.map_or_else(|| "until revoked".to_string(), |ends| format!("until {ends}"));
            let note = format!("token `{name}` ({id}): {scope}, {ends}. It is shown this once; revoke it with: windrose token revoke {name}\n");
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
    let mut grid = Grid::new(&["NAME", "SCOPE", "MADE", "ENDS", "ID"]);
    for Token { id, name, scope, at, ends } in tokens {
        let ends = ends.map_or_else(|| "when revoked".to_string(), |ends| clock(ends, Default::default()));
        grid.row(vec![name.as_str().into(), scope.word().into(), clock(*at, Default::default()).into(), ends.into(), id.as_str().into()]);
    }
    grid.render(paint)
}

/// `windrose whoami`
pub async fn whoami(client: &Client) -> Result<Report, Failure> {
    let got: Got<Whoami> = client.get(&["whoami"], &[]).await?;
    let Whoami { actor, scope } = &got.value;
    Ok(Report::new(format!("{actor} may {scope} at {}\n", client.place), got.raw))
}
