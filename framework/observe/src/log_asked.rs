//! Lines of the logs of all processes, gathered the way that calls go.

use super::{
    asked::Here,
    log::{LogAnswer, LogFilter},
};
use futures_util::future::{BoxFuture, join_all};

impl Here {
    /// The lines of this process and of those that it calls, the oldest first. Each replica has a log of its own.
    pub(crate) fn gather_lines(
        &self,
        filter: LogFilter,
        mut asked: Vec<String>,
    ) -> BoxFuture<'_, LogAnswer> {
        asked.extend(self.traces.upgrade().map(|traces| traces.process().to_owned()));
        Box::pin(async move {
            let lines = self.lines.get().map(|lines| lines.find(&filter)).unwrap_or_default();
            let mut found = LogAnswer { lines, missing: Vec::new() };
            let to_ask = self.to_ask(&asked, |_| true);
            asked.extend(to_ask.iter().map(|(process, _)| process.clone()));
            let answers = to_ask.into_iter().map(|(process, replicas)| {
                let each = replicas.into_iter().map(|replica| {
                    let (filter, asked) = (filter.clone(), asked.clone());
                    async move { replica.lines(filter, asked).await }
                });
                let each = join_all(each);
                async move { (process, each.await) }
            });
            for (process, answers) in join_all(answers).await {
                if answers.is_empty() || answers.iter().any(Result::is_err) {
                    found.missing.push(process);
                }
                for answer in answers.into_iter().flatten() {
                    found.lines.extend(answer.lines);
                    found.missing.extend(answer.missing);
                }
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
