//! The truth tables: each row of SEMANTICS 1 to 11 that this room keeps, named as the sentence it proves.

mod clients;
mod degraded;
mod failback;
mod fresh;
mod hosts;
mod ladder;
mod notes;
mod pools;
pub(crate) mod properties;
mod returning;
mod shed;
mod sticky;
mod trees;
mod trickle;
mod truth;
mod views;
