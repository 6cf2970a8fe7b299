//! The core at any moment: events in, effects out, a store and DNS imagined.

mod accounts;
mod changes;
mod composite;
mod explain;
mod flips;
mod guard;
mod guards;
mod journal;
mod learned;
mod legacy;
mod outcomes;
mod preview;
mod probes;
mod pushes;
mod reload;
mod replay;
mod replies;
mod schedules;
mod seeds;
mod serials;
mod shifts;
mod simulate;
mod targets;
mod ttl;
mod world;
