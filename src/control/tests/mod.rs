//! The core at any moment: events in, effects out, a store and DNS imagined.

mod changes;
mod guard;
mod learned;
mod legacy;
mod pushes;
mod reload;
mod seeds;
mod serials;
mod world;
