//! The engine's tests: small zones written by hand, responses read back as text by a decoder of their own.

mod aliases;
mod clients;
mod counted;
mod data;
mod decoder;
mod edges;
mod edns;
mod explained;
mod header;
mod limits;
mod options;
mod robust;
mod services;
mod shares;
mod spread;
mod transfer;
mod world;
mod zero_alloc;

use decoder::text;
use world::{World, ask, query, tcp, udp};
