//! Windrose: a health-checking, authoritative DNS server that moves API traffic between regions.
//!
//! This page is the architecture as built. Facts come in (probe outcomes, configuration, operators' orders); one writer turns them
//! into health and traffic; policy turns those into decisions; decisions are compiled into an immutable snapshot; queries are answered
//! from the snapshot alone.
//!
//! ```text
//!  facts in                                   decisions                              answers out
//!  sockets, store, files ─▶ Event ─▶ control ─▶ health ─▶ policy ─▶ snapshot ─▶ answer ─▶ packet
//!                                      │ (one writer)      (pure)    (immutable)  (pure)
//!                                      └───▶ Effect: probe this, publish that, persist this, tell, wake me at
//!
//!  wiring     main · app (serve, demo) · cli
//!  IO rooms   metrics  config  store  probe  dns  webhook  admin           tokio, sockets, files, HTTP
//!  ═══════════════ IO line: nothing below awaits, reads a clock, or draws randomness ═══════════════
//!  thinking   answer (query hot path)  ‖  control (sans-IO core, the one writer)
//!             snapshot (zones + decisions → an immutable answerable thing)
//!             policy (facts → decision, with its trace)
//!             health (outcomes → verdicts)     zone (static records)     client (who asks)
//!  nouns      model (ids, estate, policy forms)          wire (names, packets, EDNS: the RFCs as types)
//! ```
//!
//! One total order; a module imports only modules to its left:
//! `wire, model, client, zone, health, policy, snapshot, answer ‖ control, metrics, config, store, probe, dns, webhook, admin, cli, app`.
//! IO rooms don't import each other, except that all may import `metrics`. `tests/it/architecture.rs` fails on any other arrow.
//!
//! # Where to begin reading
//!
//! | to understand | open |
//! |---|---|
//! | what exists | [`model::Estate`] |
//! | what can happen | [`control::Event`] and [`control::Effect`]: the daemon's table of contents |
//! | who decides, and how | [`policy::decide`]; what comes out, state by state: `policy/tests/truth/` |
//! | why a pool that has returned does not answer yet | `policy/hold.rs`, `policy/order.rs`; for people: `docs/returning.md` |
//! | how a query is answered | [`answer::answer`]; signed ones and transfers: `answer/slow.rs` |
//! | how outcomes become a verdict, and verdicts one | `health/verdict.rs`, `health/composite.rs`; for people: `docs/health.md` |
//! | when a verdict must wait, because we may be the broken ones | [`health::Guard`] |
//! | what is judged, by whose thresholds, and what several verdicts make together | [`model::Judgement`], `health/composite.rs` |
//! | what a change must not do | [`control::check`], `control/plan_guards.rs`; for people: `docs/guards.md` |
//! | how traffic moves step by step, and stops by itself | `control/shifts/mod.rs`; for people: `docs/shifts.md` |
//! | who asks, and what that changes | `client/mod.rs`, `policy/tailor.rs`, `policy/sticky.rs`; for people: `docs/steering.md` |
//! | what is made later, and why a TTL falls before it | `control/schedules/`, `policy/soon.rs`; for people: `docs/schedules.md` |
//! | which region is quickest for whom, as measured, and when that changes | `control/latency/`; for people: `docs/steering.md` |
//! | whose data is too old to be used | `control/freshness.rs`, `policy/pool.rs`; for people: `docs/freshness.md` |
//! | who is too full, and who takes what it gives away | `control/load.rs`, `policy/shed.rs`; for people: `docs/shed.md` |
//! | whose answers are host names' addresses, or a CNAME | `health/hosts.rs`, `policy/hosts.rs`; for people: `docs/hostnames.md` |
//! | what other thresholds would have made of last night | `control/replay.rs`, `store/outcomes/`; for people: `docs/replay.md` |
//! | what would be if, and when clients will have followed | `control/simulate.rs`, `policy/forecast.rs`; for people: `docs/predicting.md` |
//! | what was answered last night, and why | `control/accounts/`, `store/decisions/`; for people: `docs/explain.md` |
//! | who owns what, and the order of starting and stopping | `app/daemon.rs` |
//! | what happened, who did it, and who is told | `control/journal/`, `app/telling.rs`, `webhook/`; for people: `docs/events.md` |
//! | how another process takes over | `app/upgrade/mod.rs` |
//! | every route of the API, its scope, what it touches | `admin/router.rs`; its description is made from that: `admin/openapi.rs` |
//! | what one sees at 3 a.m. | `cli/status.rs`, `cli/top/mod.rs`; for people: `docs/top.md` |
//! | every metric, and the panel or alert that it serves | `metrics/catalog.rs`, `deploy/boards.toml` |
//! | every problem that a file can have | `config/check.rs` |
//!
//! # Three journeys
//!
//! *A query.* `dns/udp.rs`: a worker thread receives a batch, loads the snapshot once, calls [`answer::answer`] for each packet, sends the batch.
//! No other thread is asked anything; nothing is allocated, locked or timed per query.
//!
//! *A probe outcome.* `probe` does the IO under one deadline → [`control::Event::Probed`] → [`health::HealthTable::observe`] (nearly always: no transition, nothing else happens) →
//! [`health::Guard`] (is a second region going down, is this node blind?) → `control` touches the services that use the pool → `settle` decides them, compiles what changed, publishes once, and commits what was learned.
//!
//! *An operator's change.* `admin` checks form and rights → [`control::Event::Change`] → `control/plan.rs` looks names up, checks, decides as if it were done (a dry run ends here, with the same answer) →
//! [`control::Effect::Commit`] (one in flight) → the store makes it durable → [`control::Event::Committed`] → applied, published → [`control::Effect::Reply`]: this node's DNS already answers with it.
//!
//! And *a zone's way to its secondaries.* A decision changes what they would get → `control/serials.rs` raises the zone's serial and has it made durable
//! with what was learned → published → [`control::Effect::Secondaries`] → `dns/notify.rs` tells them (RFC 1996) → they ask → [`answer::answer_slow`] looks at
//! address and signature (`wire/tsig.rs`) → `dns/transfer.rs` streams what [`answer::Transfer`] makes from one snapshot.
//!
//! # What this code never does
//!
//! 1. Below the IO line: no await, no clock, no randomness, no file, no socket (`clippy.toml` and a test).
//! 2. A query never waits, locks, allocates, or loads the snapshot twice; a published snapshot never changes.
//! 3. Only `control` changes state; `admin`, `probe`, `store`, `config` send events.
//! 4. A probe never decides health; a policy never measures; a metric never decides anything.
//! 5. Losing the store or every probe never stops answers. All down is never an accident: `when_all_down` says what then.
//! 6. The same events in the same order never give a different snapshot.
//! 7. No queue without a bound, no wait without a deadline, no bound without a name.
//! 8. No `unwrap`, `expect` or unchecked index on the data path; a panic in one packet, request or probe never ends the daemon.
//! 9. Secrets never reach logs, metrics, errors or `Debug`.
//!
//! # Where building taught us better than the plan
//!
//! - [`model::PolicyForm`] carries its `serde` code itself: it is one format with three edges (file, API, store), so it is written once, beside the type.
//! - Reading the core is lending it: `admin::door::Door::look` runs a closure on the control thread, so every page of the API is one consistent look, and there is no second copy of the state to keep in step.
//! - An override's number is the store's counter that its commit raises: unique for ever without a counter of its own.
//! - What shapes responses (cookie secrets, limits, what is revealed) is part of the [`snapshot::Snapshot`]: a reload changes it, and there is still one published pointer.
//! - Services that are decided alike share what they are decided by, the decision and its wire form; `control` decides once per such group and event.
//! - Publishing comes first: [`control::Core::settle_answers`] gives the snapshot, `follow_up` tells, persists and plans afterwards.
//! - DNS over TCP runs on threads with a runtime of their own, not on the shared one: no query crosses a thread, and a session that waits holds no buffer.
//! - What needs more than a look at the snapshot (signed queries, transfers) leaves the hot path by one door, `answer_slow`.
//! - A process that takes over gets more than the store keeps ([`control::Legacy`]): counters and clocks go on, so that an upgrade is no restart to health.
//! - TCP connections are handed over open: closing one costs its client the query that it is just sending, however politely it is done.
//! - The guard keeps endpoints, not decisions: policy decides on health as it was, so what operators change while a node is blind acts on something sane.
//! - A verdict belongs to a *judgement*, a target by somebody's thresholds: a target is probed once, however many judge it, and a composite combines verdicts, never outcomes.
//! - What this node could not try, and what it slept through, is no outcome: neither counts towards a verdict (`probe/pulse.rs`).
//! - What is known beside Up and Down (degraded, busy, told weights) is kept apart from verdicts (`health/quality.rs`): it shapes shares and can take nobody away.
//! - Whatever wants to probe (schedule, people, redirects) goes one way, `probe/attempt.rs`, and asks one rule where it may go, `probe/permit.rs`.
//! - Routes are a table from which the router and its test of rights are made: a route without a scope can't be written.
//! - A step of a shift is a change of traffic like any other, in one transaction with the shift's own record: guards weigh it, the audit shows it, and no restart repeats or skips it.
//! - A pool that returns in steps is no new kind of share: the tree is evaluated with and without it, and the results are mixed. A failover that turns
//!   (`one_way`) remembers who is first by name; nobody's policy is rewritten.
//! - What a pool sheds is no mix of trees with and without it: at the pool itself a part of its answers goes back up the tree to the nearest node that has
//!   somebody for it. So nobody else's answers move, however many pools shed at once.
//! - Looking into the future is deciding on a copy: `simulate` takes a picture while the core is lent and works out the cascade away from it, with the same [`policy::decide`].
//! - The API's document and the terminal's pictures are made from what the program itself goes by (routes and their types; a pure state), and kept as text: a change is read before it counts.
//! - Guards of changes read one key (`Key::LastChange`) that every guarded commit expects and raises, because an override that another node begins is a key nobody here can name.
//! - What must be done once is claimed in the very commit that does it, and its reply is kept before it is sent (`control/replies.rs`).
//! - A reload is weighed by the guards of the file that runs (`control/reload_guards.rs`): a file can't take away what forbids it.
//! - What explain said is recorded, not what it was decided from: a reload or an upgrade can't change what was said, and a new fact needs no new form.
//! - What a pool sheds goes up its tree to the nearest node with somebody who takes it: several pools can shed at once, and nobody else's answers move.
//! - Classes of clients depend on orders of regions, never on milliseconds: what was measured is smoothed and ordered by `control/latency/`, and classes are
//!   built anew beside the core only when an order changes.
//! - Traffic that asks something new about clients waits until classes that answer it are built beside the core; only then it is decided, made durable and acknowledged.
//! - Decisions made before DNS answers (the first round of probes) leave no memory: what never answered can't be "taken away", so it is not held.

pub mod wire;

pub mod model;

pub mod client;

pub mod zone;

pub mod health;

pub mod policy;

pub mod snapshot;

pub mod answer;

pub mod control;

pub mod metrics;

pub mod config;

pub mod store;

pub mod probe;

pub mod dns;

pub mod webhook;

pub mod admin;

pub mod cli;

pub mod app;
