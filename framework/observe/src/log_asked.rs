//! The logs of all processes: their lines, gathered the way that calls go, and their levels.

use super::{
    asked::{Here, ask_each},
    audit,
    log::{LevelsAnswer, LevelsOf, LogAnswer, LogFilter, WantedLevels, WrongLevels},
};
use futures_util::future::BoxFuture;
use monolift_manifest::LogLevels;

impl Here {
    /// The lines of this process and of those that it calls, the oldest first. Each replica has a log of its own.
    pub(crate) fn gather_lines(
        &self,
        filter: LogFilter,
        mut asked: Vec<String>,
    ) -> BoxFuture<'_, LogAnswer> {
        asked.extend(self.traces.upgrade().map(|traces| traces.process().to_owned()));
        Box::pin(async move {
            let lines = self.log.get().map(|log| log.lines().find(&filter)).unwrap_or_default();
            let mut found = LogAnswer { lines, missing: Vec::new() };
            let to_ask = self.to_ask(&asked, |_| true);
            asked.extend(to_ask.iter().map(|(process, _)| process.clone()));
            let (answers, silent) = ask_each(to_ask, |replica| {
                let (filter, asked) = (filter.clone(), asked.clone());
                async move { replica.lines(filter, asked).await }
            })
            .await;
            found.missing.extend(silent);
            for answer in answers {
                found.lines.extend(answer.lines);
                found.missing.extend(answer.missing);
            }
            found.lines.sort_by(|a, b| {
                (a.at_us, &a.process, a.pid, a.number).cmp(&(b.at_us, &b.process, b.pid, b.number))
            });
            found
                .lines
                .dedup_by(|a, b| (a.pid, a.number, &a.process) == (b.pid, b.number, &b.process));
            let surplus = found.lines.len().saturating_sub(filter.most());
            found.lines.drain(..surplus);
            found.missing.sort_unstable();
            found.missing.dedup();
            found
        })
    }
}

impl Here {
    /// Changes the levels of this process, and of all others if this one observes the application.
    pub(crate) async fn set_levels_everywhere(
        &self,
        wanted: WantedLevels,
    ) -> Result<LevelsAnswer, WrongLevels> {
        let wrong = |message| WrongLevels::of(&wanted.levels, message);
        LogLevels::read(&wanted.levels).map_err(wrong)?;
        let own = self.set_levels(&wanted);
        let levels = own.as_ref().map(|own| own.levels.clone());
        let asked: Vec<String> =
            self.traces.upgrade().map(|traces| traces.process().to_owned()).into_iter().collect();
        let to_ask = self.to_ask(&asked, |neighbour| neighbour.may_know());
        let others = self.to_ask(&asked, |neighbour| !neighbour.may_know());
        let unchanged = others.into_iter().map(|(process, _)| process).collect();
        let (answers, missing) = ask_each(to_ask, |replica| {
            let wanted = wanted.clone();
            async move { replica.change_levels(wanted).await }
        })
        .await;
        let processes = own.into_iter().chain(answers.into_iter().flatten()).collect();
        Ok(LevelsAnswer { levels, processes, missing, unchanged })
    }

    /// Changes the levels of this process. `None` if the program has a log of its own, or does not know such levels.
    pub(crate) fn set_levels(&self, wanted: &WantedLevels) -> Option<LevelsOf> {
        let log = self.log.get()?;
        log.set(&wanted.levels).ok()?;
        let levels = log.current();
        audit::levels(&levels, &wanted.who);
        let process = self.traces.upgrade()?.process().to_owned();
        Some(LevelsOf { process, pid: std::process::id(), levels })
    }
}
