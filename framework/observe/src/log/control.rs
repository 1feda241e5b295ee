//! Levels that change while the program runs.

use super::LogLines;
use monolift_manifest::LogLevels;
use std::{
    env, error, fmt,
    sync::{Arc, Mutex, PoisonError},
};
use tracing_subscriber::{EnvFilter, Registry, reload};

/// The variable that says what is logged, as in every program with `tracing-subscriber`.
const VARIABLE: &str = "RUST_LOG";

/// tarpc's own spans say nothing that ours do not, and cost more than a call. What an operator changes is always logged,
/// unless that is switched off by name.
const ALWAYS: &str = "tarpc=off,monolift::audit=info";

/// Reads and changes what a running program logs.
///
/// A directive is a level, or the level of what logs under a target: `stock=debug` is for the crate of the module
/// `stock` and the modules within that crate. Lines that the framework logs during a call have a target of the
/// framework, such as `monolift_seam`.
#[derive(Clone)]
pub struct LogControl {
    levels: Arc<Mutex<Levels>>,
    filter: reload::Handle<EnvFilter, Registry>,
    lines: Arc<LogLines>,
}

#[derive(Debug, Clone)]
struct Levels {
    /// Those with which the program started.
    first: String,
    /// Those that were set since, which replace the first.
    set: Option<LogLevels>,
}

impl Levels {
    fn shown(&self) -> String {
        match &self.set {
            Some(set) => format!("{},{set}", self.first),
            None => self.first.clone(),
        }
    }

    fn filter(&self) -> Result<EnvFilter, String> {
        let set = self.set.as_ref().map(|set| format!(",{set}")).unwrap_or_default();
        let all = format!("{},{ALWAYS}{set}", self.first);
        EnvFilter::try_new(all).map_err(|error| error.to_string())
    }
}

/// Directives that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongLevels(String);

impl WrongLevels {
    pub(crate) fn of(directives: &str, message: String) -> Self {
        Self(format!("`{directives}`: {message}"))
    }
}

impl fmt::Display for WrongLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for WrongLevels {}

impl fmt::Debug for LogControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogControl({})", self.current())
    }
}

impl LogControl {
    /// For a program that installs a subscriber itself: a filter for its registry, and the control over that filter.
    /// `RUST_LOG` says what is logged; without it `levels` do, such as `info,stock=debug`.
    ///
    /// ```
    /// use monolift_observe::log::{self, LogControl, Service};
    /// use tracing_subscriber::{Registry, layer::SubscriberExt};
    ///
    /// let (filter, control) = LogControl::new("info")?;
    /// let log = Registry::default().with(filter).with(log::ecs_layer(Service::new("shop", "web")));
    /// control.set("stock=debug")?;
    /// # drop(log);
    /// # Ok::<(), log::WrongLevels>(())
    /// ```
    pub fn new(levels: &str) -> Result<(reload::Layer<EnvFilter, Registry>, Self), WrongLevels> {
        let levels = LogLevels::read(levels).map_err(|wrong| WrongLevels::of(levels, wrong))?;
        match Self::starting(levels) {
            (filter, control, None) => Ok((filter, control)),
            (.., Some(complaint)) => {
                Err(WrongLevels(format!("{VARIABLE} cannot be read: {complaint}")))
            }
        }
    }

    /// What is logged, from `RUST_LOG` or else from `levels`; a filter that does so; and what is wrong with `RUST_LOG`.
    pub(super) fn starting(
        levels: LogLevels,
    ) -> (reload::Layer<EnvFilter, Registry>, Self, Option<String>) {
        let stated = env::var(VARIABLE).ok().filter(|stated| !stated.trim().is_empty());
        Self::of(stated, levels)
    }

    pub(super) fn of(
        stated: Option<String>,
        levels: LogLevels,
    ) -> (reload::Layer<EnvFilter, Registry>, Self, Option<String>) {
        let usual = Levels { first: levels.to_string(), set: None };
        let stated = stated.map(|first| Levels { first, set: None });
        let read = stated.as_ref().map(Levels::filter);
        let (levels, filter, complaint) = match (stated, read) {
            (Some(stated), Some(Ok(filter))) => (stated, filter, None),
            (_, read) => {
                let filter =
                    usual.filter().expect("LogLevels writes directives that are well formed");
                (usual, filter, read.and_then(Result::err))
            }
        };
        let (layer, filter) = reload::Layer::new(filter);
        let levels = Arc::new(Mutex::new(levels));
        (layer, Self { levels, filter, lines: Arc::default() }, complaint)
    }

    /// Adds directives, such as `stock=debug`, to those in force. They replace earlier ones for the same targets.
    ///
    /// Records of the crate `log`, where a program bridges them, are bounded by the level at the start as well.
    pub fn set(&self, directives: &str) -> Result<(), WrongLevels> {
        let wrong = |message| WrongLevels::of(directives, message);
        let more = LogLevels::read(directives).map_err(wrong)?;
        self.change(|levels| match &mut levels.set {
            Some(set) => set.extend(more).map_err(wrong),
            None => {
                levels.set = Some(more);
                Ok(())
            }
        })
    }

    /// Goes back to the directives with which the program started.
    pub fn reset(&self) -> Result<(), WrongLevels> {
        self.change(|levels| {
            levels.set = None;
            Ok(())
        })
    }

    /// The latest lines, which the admin address shows. A layer fills them that is
    /// [`remembered_in`](super::LogLayer::remembered_in) them.
    pub fn lines(&self) -> &Arc<LogLines> {
        &self.lines
    }

    /// The directives in force: those of the start, then those that were set.
    pub fn current(&self) -> String {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner).shown()
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Levels) -> Result<(), WrongLevels>,
    ) -> Result<(), WrongLevels> {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = levels.clone();
        change(&mut changed)?;
        let filter = changed.filter().map_err(WrongLevels)?;
        let gone = |_| WrongLevels("the log of this program is not there any more".to_owned());
        self.filter.reload(filter).map_err(gone)?;
        *levels = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::{Page, TEXT};
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn levels_change_while_the_program_runs() {
        let page = Page::default();
        let levels = LogLevels::read("warn,orders=info").unwrap();
        let (filter, control, complaint) = LogControl::of(None, levels);
        assert_eq!(complaint, None);
        let subscriber = Registry::default().with(filter).with(page.layer(TEXT));
        let _default = tracing::subscriber::set_default(subscriber);
        let say = |what: &str| {
            tracing::debug!(target: "stock::shelf", "stock {what}");
            tracing::info!(target: "orders", "orders {what}");
            tracing::info!(target: "tarpc::client", "tarpc {what}");
        };
        let said = |what: &str| {
            let text = page.text();
            ["stock", "orders", "tarpc"].map(|who| text.contains(&format!("{who} {what}\n")))
        };
        say("one");
        assert_eq!(said("one"), [false, true, false]);
        control.set("stock=debug,tarpc=info").unwrap();
        assert_eq!(control.current(), "warn,orders=info,stock=debug,tarpc=info");
        say("two");
        assert_eq!(said("two"), [true, true, true]);
        control.set("stock=info").unwrap();
        control.set("orders=off").unwrap();
        say("three");
        assert_eq!(said("three"), [false, false, true]);
        // A mistake changes nothing.
        let wrong = control.set("stock=debug,orders=loud").unwrap_err().to_string();
        assert!(
            wrong.starts_with("`stock=debug,orders=loud`: expected one of the levels"),
            "{wrong}"
        );
        say("four");
        assert_eq!(said("four"), [false, false, true]);
        control.reset().unwrap();
        assert_eq!(control.current(), "warn,orders=info");
        say("five");
        assert_eq!(said("five"), [false, true, false]);
    }

    #[test]
    fn rust_log_wins_unless_it_cannot_be_read() {
        let of = |stated: &str| {
            let (_, control, complaint) =
                LogControl::of(Some(stated.to_owned()), LogLevels::default());
            (control.current(), complaint.is_some())
        };
        assert_eq!(of("error,stock[{sku}]=trace"), ("error,stock[{sku}]=trace".to_owned(), false));
        assert_eq!(of("error,stock=loud"), ("info".to_owned(), true));
    }
}
