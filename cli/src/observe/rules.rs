//! Prometheus's rules, and their unit tests for `promtool test rules`.

use super::{alerts::Alert, deployment::Deployment, head};
use std::fmt::Write as _;

/// The rules. `runbooks` is the place of the runbooks.
pub(super) fn rules(deployment: &Deployment, alerts: &[Alert], runbooks: &str) -> String {
    let mut text =
        format!("# {}\n\ngroups:\n  - name: {}\n    rules:\n", head(deployment), deployment.app);
    for alert in alerts {
        let Alert { name, why, expr, hold, severity, summary, .. } = alert;
        for line in why.lines() {
            let _ = writeln!(text, "      # {line}");
        }
        let _ = writeln!(text, "      - alert: {name}\n        expr: |");
        for line in expr.lines() {
            let _ = writeln!(text, "          {line}");
        }
        let _ = write!(
            text,
            "        for: {hold}\n        labels: {{ severity: {severity} }}\n        annotations:\n          \
             summary: \"{summary}\"\n          runbook_url: \"{runbooks}/{name}.md\"\n\n"
        );
    }
    text.pop();
    text
}

/// A test of each rule: it fires for one series of its example and not for the others, and not at once.
pub(super) fn tests(deployment: &Deployment, alerts: &[Alert], runbooks: &str) -> String {
    let mut text = format!(
        "# {}\n#\n# promtool test rules rules.test.yml\n\nrule_files: [rules.yml]\nevaluation_interval: 15s\n\ntests:\n",
        head(deployment)
    );
    for alert in alerts {
        test(&mut text, alert, runbooks);
    }
    text
}

fn test(text: &mut String, alert: &Alert, runbooks: &str) {
    let Alert { name, severity, summary, example, .. } = alert;
    text.push_str("  - interval: 15s\n    input_series:\n");
    for (series, values) in &example.series {
        let _ = writeln!(text, "      - {{ series: '{series}', values: '{values}' }}");
    }
    let label = |(key, value): &(&str, String)| format!("{key}: \"{value}\"");
    let mut labels: Vec<String> = example.labels.iter().map(label).collect();
    labels.push(format!("severity: {severity}"));
    let filled = example.labels.iter().fold((*summary).to_owned(), |text, (key, value)| {
        text.replace(&format!("{{{{ $labels.{key} }}}}"), value)
    });
    let _ = write!(
        text,
        "    alert_rule_test:\n      - {{ eval_time: 30s, alertname: {name}, exp_alerts: [] }}\n      \
         - eval_time: 20m\n        alertname: {name}\n        exp_alerts:\n          \
         - exp_labels: {{ {} }}\n            exp_annotations:\n              summary: \"{filled}\"\n              \
         runbook_url: \"{runbooks}/{name}.md\"\n",
        labels.join(", ")
    );
}

#[cfg(test)]
mod tests {
    use super::super::{alerts, deployment};
    use std::{collections::BTreeSet, fs, path::Path};

    #[test]
    fn each_alert_has_a_runbook_and_each_runbook_an_alert() {
        let alerts = alerts::of(&deployment::tests::shop());
        let alerts: BTreeSet<String> =
            alerts.iter().map(|alert| format!("{}.md", alert.name)).collect();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks");
        let pages = fs::read_dir(folder).unwrap();
        let pages: BTreeSet<String> =
            pages.map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(alerts, pages);
    }

    #[test]
    fn a_runbook_is_about_its_alert_and_says_what_to_do() {
        for alert in alerts::of(&deployment::tests::shop()) {
            let title = format!("# {}\n", alert.name);
            assert!(alert.runbook.starts_with(&title), "{}", alert.name);
            for part in ["\n## What to look at\n", "\n## What to do\n"] {
                assert!(alert.runbook.contains(part), "{}: {part}", alert.name);
            }
        }
    }

    /// A label that is not filled in would be wrong in the test of the rule.
    #[test]
    fn a_summary_names_labels_that_its_alert_has() {
        for alert in alerts::of(&deployment::tests::shop()) {
            let named = alert.summary.split("$labels.").skip(1);
            for label in named.map(|rest| rest.split(' ').next().unwrap()) {
                let has = alert.example.labels.iter().any(|(key, _)| *key == label);
                assert!(has, "{}: {label}", alert.name);
            }
        }
    }
}
