//! Whether a plan is in order: a file that somebody else wrote may say anything.

use super::super::{CopyOf, Expects, Plan, PlannedChange, PlannedStore, Step};
use super::{Fault, lines};
use crate::store::{Key, StoreUrl};

/// Checks that everything a plan names is there and fits.
pub(super) fn check(plan: &Plan) -> Result<(), Fault> {
    if !is_hex(&plan.origin.id, 16) {
        return fault("its id is not 16 hex digits");
    }
    if !plan.origin.script_sha256.is_empty() && !is_hex(&plan.origin.script_sha256, 64) {
        return fault("the hash of its script is none");
    }
    for (at, store) in plan.stores.iter().enumerate() {
        check_store(store).or_else(|words| fault(format!("store {at}: {words}")))?;
    }
    for (sha256, bytes) in &plan.contents {
        if lines::hash(bytes) != *sha256 {
            return fault("a content doesn't have the hash that it is kept under");
        }
    }
    for (at, step) in plan.steps.iter().enumerate() {
        check_step(plan, at, step).or_else(|words| fault(format!("step {at}: {words}")))?;
    }
    for lock in &plan.locks {
        known_store(plan, lock.store)
            .and_then(|()| valid_key(&lock.name))
            .or_else(|words| fault(format!("a lock: {words}")))?;
    }
    for object in &plan.observed.objects {
        known_store(plan, object.store)
            .and_then(|()| valid_key(&object.key))
            .or_else(|words| fault(format!("an object it has seen: {words}")))?;
    }
    for listing in &plan.observed.listings {
        known_store(plan, listing.store)
            .and_then(|()| valid_folder(&listing.below))
            .or_else(|words| fault(format!("a listing it has seen: {words}")))?;
    }
    Ok(())
}

fn fault<T>(message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::damaged(message))
}

fn check_store(store: &PlannedStore) -> Result<(), &'static str> {
    let url = StoreUrl::parse(&store.url).map_err(|_| "its URL is none")?;
    if !url.options.is_empty() {
        return Err("options in its URL");
    }
    StoreUrl::check_options(&url.scheme, &store.options)
        .map_err(|_| "an option that doesn't exist")?;
    valid_folder(&store.prefix)
}

fn check_step(plan: &Plan, at: usize, step: &Step) -> Result<(), &'static str> {
    known_store(plan, step.store)?;
    valid_key(&step.key)?;
    if step.after > at {
        return Err("it comes after itself");
    }
    match &step.expects {
        Expects::Absent if step.before.is_some() || step.size_before.is_some() => {
            return Err("it expects nothing, and has it");
        }
        Expects::Absent | Expects::Tag(_) => {}
        Expects::Step(earlier) => {
            made_by(plan, *earlier, at, (step.store, &step.key))?;
        }
    }
    if let Some(before) = &step.before {
        let size = content(plan, before)?;
        if step.size_before.is_some_and(|said| said != size) {
            return Err("what it replaces has another size");
        }
    }
    match &step.change {
        PlannedChange::Write {
            content: sha256,
            size,
            ..
        } => {
            if content(plan, sha256)? != *size {
                return Err("what it writes has another size");
            }
        }
        PlannedChange::Copy {
            store,
            key,
            version,
            size,
        } => {
            known_store(plan, *store)?;
            valid_key(key)?;
            if let CopyOf::Step(earlier) = version
                && made_by(plan, *earlier, at, (*store, key))? != *size
            {
                return Err("what it copies has another size");
            }
        }
        PlannedChange::Delete => {}
    }
    Ok(())
}

/// The size of the object that an earlier step leaves in a place.
fn made_by(
    plan: &Plan,
    earlier: usize,
    at: usize,
    (store, key): (usize, &str),
) -> Result<u64, &'static str> {
    let Some(step) = plan.steps.get(earlier).filter(|_| earlier < at) else {
        return Err("it follows a step that doesn't come before it");
    };
    if plan.full_key(step.store, &step.key) != plan.full_key(store, key) {
        return Err("it follows a step on another object");
    }
    match step.change {
        PlannedChange::Write { size, .. } | PlannedChange::Copy { size, .. } => Ok(size),
        PlannedChange::Delete => Err("it follows a step that leaves nothing"),
    }
}

fn content(plan: &Plan, sha256: &str) -> Result<u64, &'static str> {
    let bytes = plan.contents.get(sha256).ok_or("its bytes are missing")?;
    Ok(bytes.len() as u64)
}

fn known_store(plan: &Plan, store: usize) -> Result<(), &'static str> {
    plan.stores.get(store).map(|_| ()).ok_or("no such store")
}

fn valid_key(key: &str) -> Result<(), &'static str> {
    Key::parse(key).map(|_| ()).map_err(|bad| bad.reason)
}

/// A folder, or the top when it is empty.
fn valid_folder(folder: &str) -> Result<(), &'static str> {
    if folder.is_empty() {
        return Ok(());
    }
    valid_key(folder)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
