//! A module that is not there: each call is answered with an example of the method's answer.
//!
//! A developer starts one process of a split application, and the modules that it calls are fakes.

use crate::{
    call::{CallError, CallErrorKind},
    carry::{Answer, Bounds, Carrier, Outcome, Outgoing, codec, unwritable},
};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Answers calls with examples.
#[derive(Debug)]
pub struct Fake {
    bounds: Bounds,
    /// By interface and method. `None` where none can be made.
    examples: Mutex<HashMap<(&'static str, usize), Option<Value>>>,
}

impl Fake {
    /// A fake whose arguments and answers keep these bounds.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, examples: Mutex::default() }
    }

    fn answer(&self, call: &Outgoing<'_>) -> Result<Answer, CallError> {
        // What could not be sent to the module fails here too.
        call.payload(self.bounds)?;
        let method = &call.interface.methods[call.method];
        let mut examples = self.examples.lock().unwrap_or_else(PoisonError::into_inner);
        let known = examples.entry((call.interface.name, call.method));
        let example = known.or_insert_with(|| method.example()).as_ref().ok_or_else(|| {
            let text = format!(
                "the fake of {} has no example of its answer: its schema lets none be made, so give its type one \
                 (`#[schemars(example = …)]`)",
                method.callee
            );
            CallError::new(CallErrorKind::BadAnswer, text)
        })?;
        let mut payload = Vec::new();
        codec::encode(example, self.bounds, &mut payload)
            .map_err(|error| unwritable(CallErrorKind::BadAnswer, &error))?;
        Ok(Answer { outcome: Outcome::Answer, payload: payload.into() })
    }
}

impl Carrier for Fake {
    fn bounds(&self) -> Bounds {
        self.bounds
    }

    fn carry<'a>(&'a self, call: Outgoing<'a>) -> BoxFuture<'a, Result<Answer, CallError>> {
        Box::pin(async move { self.answer(&call) })
    }
}
